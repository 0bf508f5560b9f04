"""The rows of `config check` about the connection to the API."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from worker.cli.output import Row

if TYPE_CHECKING:
    from worker.settings.settings import Settings


def connection_rows(settings: "Settings") -> Iterator[Row]:
    """The proxy for each host of the API, and the certificate authorities."""
    from worker.settings.secret import redact_url

    for origin in _origins(settings):
        choice = settings.proxies.choose(origin)
        yield {
            "variable": f"proxy for {origin}",
            "value": redact_url(choice.proxy.reveal()) if choice.proxy else "none",
            "source": choice.variable or "default",
        }
    yield _authorities(settings)


def _origins(settings: "Settings") -> list[str]:
    urls = [url for app in settings.apps for url in (app.base_url, app.webhook_key_url)]
    parts = map(urlsplit, urls)
    return list(dict.fromkeys(f"{part.scheme}://{part.netloc}" for part in parts))


def _authorities(settings: "Settings") -> Row:
    row: Row = {"variable": "certificate authorities of the API"}
    if settings.ssl_cert_file:
        return row | {"value": settings.ssl_cert_file, "source": "SSL_CERT_FILE"}
    if settings.ssl_cert_dir:
        return row | {"value": settings.ssl_cert_dir, "source": "SSL_CERT_DIR"}
    return row | {"value": "those of the package certifi", "source": "default"}
