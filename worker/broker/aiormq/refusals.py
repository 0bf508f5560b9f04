"""Recognises a refusal that the library reports as a protocol error."""

from aiormq.exceptions import InvalidFrameError


def is_refused_virtual_host(error: BaseException) -> bool:
    """Whether the broker answered `Connection.Open` with `Connection.Close`.

    The library drops the broker's error text.
    """
    text = str(error)
    is_close = "Connection.OpenOk" in text and "Connection.Close" in text
    return isinstance(error, InvalidFrameError) and is_close
