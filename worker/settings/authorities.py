"""The certificate authorities that SSL_CERT_FILE and SSL_CERT_DIR name."""

import os
import ssl


def certificate_file(text: str) -> str:
    """Check that the file can be read and holds certificates."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=text)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = "it holds no certificates" if isinstance(error, ssl.SSLError) else _reason(error)
        raise ValueError(f"must name a file of PEM certificates, not {text}: {reason}") from None
    return text


def certificate_directory(text: str) -> str:
    """Check that each of the directories exists. There may be several, as in PATH."""
    for directory in text.split(os.pathsep):
        if not os.path.isdir(directory):  # noqa: PTH112 - no error, whatever is wrong with it
            raise ValueError(f"must name directories of PEM certificates, not {directory}")
    return text


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
