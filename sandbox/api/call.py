"""A request to the emulated API on its way through an operation, and what comes back."""

from collections.abc import Callable, Mapping

import msgspec
from multidict import MultiMapping

from sandbox.api import validation
from sandbox.model.behaviour import Behaviour


class Call(msgspec.Struct, kw_only=True):
    """An authorised request. The ids and `in_flight` serve the request log and the faults."""

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
    """The body of a response before it is JSON: `data`, and the fields next to it."""

    data: object
    status: int = 200
    extra: dict[str, object] = {}


Handler = Callable[[Call], Reply]


def page(
    query: MultiMapping[str], behaviour: Behaviour, *, most: int | None = None
) -> tuple[int, int]:
    """Offset and length of the page that is asked for; too long a page is cut, or refused.

    Pages count from 1, and 0 is taken for the first. With `most`, `per_page` must be 1 to `most`.
    """
    number = validation.whole("page_no", query.get("page_no") or "1")
    if most is None:
        length = validation.whole("per_page", query.get("per_page") or "0")
        length = min(length or behaviour.default_per_page, behaviour.max_per_page)
    else:
        text = query.get("per_page") or str(min(behaviour.default_per_page, most))
        length = validation.whole("per_page", text, least=1, most=most)
    return max(0, number - 1) * length, length
