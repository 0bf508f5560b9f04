"""The option that says where a worker answers, for commands that ask it for its checks."""

from urllib.parse import urlsplit

import click


def _http_url(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url:
        raise click.BadParameter(f"{text!r} is not a URL such as http://127.0.0.1:8080")
    return text


worker_url_option = click.option(
    "--worker-url",
    metavar="URL",
    callback=_http_url,
    help="Where a worker answers. Default: this machine, at HTTP_HOST and HTTP_PORT.",
)
