"""Reads the request log."""

import msgspec
from aiohttp import web

from recording_sandbox.api.call import Reply
from recording_sandbox.api.control.call import ControlCall, ControlHandler
from recording_sandbox.api.validation import one_of, whole_number
from recording_sandbox.model.log_entries import KINDS
from recording_sandbox.model.request_log import RequestLog


def request_log_reader(request_log: RequestLog) -> ControlHandler:
    """GET /sandbox/request-log: entries from number `since` on, of one `kind` or of all.

    With `format=jsonl` the response is one entry a line.
    """

    def handler(call: ControlCall) -> Reply | web.Response:
        query = call.query
        kind = query.get("kind")
        if kind is not None:
            one_of("kind", kind, tuple(KINDS))
        since = whole_number("since", query.get("since", "0"))
        entries = request_log.entries(kind=kind, since=since)
        if query.get("format") == "jsonl":
            lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
            return web.Response(body=lines, content_type="application/x-ndjson")
        counts = dict(request_log.counts)
        return Reply(data={"total": request_log.total, "counts": counts, "entries": entries})

    return handler
