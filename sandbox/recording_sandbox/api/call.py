"""The call of an operation: an API request, and the operation's result."""

from collections.abc import Callable, Mapping

import msgspec
from multidict import MultiMapping

from recording_sandbox.api import validation
from recording_sandbox.model.behaviour import Behaviour


class Call(msgspec.Struct, kw_only=True):
    """One API request. The ids and `in_flight` serve the request log and the faults."""

    operation: str
    method: str
    app_id: str
    path: Mapping[str, str]
    query: MultiMapping[str]
    body: bytes
    meeting_id: str | None = None
    recording_id: str | None = None
    detail: str | None = None
    in_flight: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A successful result: the field `data` of the response, and `extra` fields next to it."""

    data: object
    status: int = 200
    extra: dict[str, object] = {}


Handler = Callable[[Call], Reply]


def page(
    query: MultiMapping[str], behaviour: Behaviour, *, max_length: int | None = None
) -> tuple[int, int]:
    """Offset and length of the requested page.

    If pages count from 1, page 0 is the first one too. Without `max_length` a longer page is cut
    to `max_per_page`, or refused (400). With it, `per_page` must be from 1 to `max_length`,
    otherwise Refusal (400).
    """
    first = behaviour.first_page
    number = validation.whole_number("page_no", query.get("page_no") or str(first))
    if max_length is None:
        longest = behaviour.max_per_page if behaviour.long_pages == "refuse" else None
        text = query.get("per_page") or "0"
        length = validation.whole_number("per_page", text, maximum=longest)
        length = min(length or behaviour.default_per_page, behaviour.max_per_page)
    else:
        text = query.get("per_page") or str(min(behaviour.default_per_page, max_length))
        length = validation.whole_number("per_page", text, minimum=1, maximum=max_length)
    return max(0, number - first) * length, length
