"""The page itself: files of this package, read once. The path of a view returns the page, too."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files
from typing import Final

from aiohttp import web

PAGE: Final = "index.html"
CONTENT_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
VIEWS: Final = (
    "/",
    "/recordings",
    "/recordings/{id}",
    "/meetings/{id}",
    "/commands",
    "/commands/{id}",
    "/dead",
    "/dead/{id}",
    "/archive",
    "/search",
)
"""The paths that the page shows. It reads them itself."""

ELSEWHERE: Final = "/{address:(?!(?:api|static)/|(?:livez|readyz|metrics)$).+}"
"""Any other address that a user may open. The page reports there that it does not exist."""


def static_routes() -> Iterator[web.RouteDef]:
    """A route for each file of the page, and for each view."""
    for file in sorted(files(__package__).joinpath("static").iterdir(), key=lambda file: file.name):
        suffix = file.name[file.name.rfind(".") :]
        if suffix not in CONTENT_TYPES:
            continue
        serve = _server_of(file.read_bytes(), CONTENT_TYPES[suffix])
        if file.name == PAGE:
            yield from (web.get(view, serve) for view in VIEWS)
            yield web.get(ELSEWHERE, _page_not_found(file.read_bytes()))
        else:
            yield web.get(f"/static/{file.name}", serve)


def _server_of(body: bytes, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}

    async def serve(request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)

    return serve


def _page_not_found(body: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_request: web.Request) -> web.Response:
        return web.Response(status=404, body=body, content_type="text/html", charset="utf-8")

    return serve
