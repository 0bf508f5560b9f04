"""Lists of an API that refuses long pages."""

import httpx
import pytest
from structlog.testing import capture_logs

from tests.unit.api_client import MEETING, answered_client
from tests.unit.api_client import recording_row as row
from worker.domain.errors import Refused
from worker.realtimekit.fetch import fetch_all_recordings


class Api:
    """Lists 70 recordings. It refuses more than `longest` in one page, with `status`."""

    def __init__(self, longest: int, *, status: int = 400, message: str | None = None) -> None:
        self.longest, self.status = longest, status
        self.message = message or f'BAD_REQUEST: "per_page" must be less than or equal to {longest}'
        self.lengths: list[int] = []
        self.client = answered_client(self._answer, token=lambda: "the-token")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        length, page_no = (int(request.url.params[name]) for name in ("per_page", "page_no"))
        self.lengths.append(length)
        if length > self.longest:
            error = {"code": self.status, "message": self.message}
            return httpx.Response(self.status, json={"success": False, "error": error})
        first = max(page_no - 1, 0) * length
        rows = [row(number) for number in range(1, 71)][first : first + length]
        return httpx.Response(200, json={"success": True, "data": rows})

    async def read(self) -> int:
        return len(await fetch_all_recordings(self.client, meeting_id=MEETING))


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("longest", [99, 50, 49, 25, 20, 10])
async def test_a_list_is_read_whole_although_the_api_refuses_long_pages(
    longest: int, status: int
) -> None:
    api = Api(longest, status=status)
    assert await api.read() == 70


async def test_a_refused_length_is_logged_and_asked_for_once() -> None:
    api = Api(30)
    with capture_logs() as logs:
        await api.read()
        await api.read()
    assert api.lengths[:3] == [100, 50, 20]
    assert set(api.lengths[3:]) == {20}
    reduced = [(log["refused"], log["per_page"]) for log in logs]
    assert reduced == [(100, 50), (50, 20)]
    assert {log["event"] for log in logs} == {"page_size_reduced"}
    assert "less than or equal to 30" in logs[0]["reason"]


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, 'BAD_REQUEST: "status" must be an array'), (409, "per_page"), (404, "per_page")],
)
async def test_another_refusal_is_not_tried_with_a_shorter_page(status: int, message: str) -> None:
    api = Api(30, status=status, message=message)
    with pytest.raises(Refused):
        await api.read()
    assert api.lengths == [100]


async def test_if_the_api_refuses_every_length_its_own_words_are_raised() -> None:
    with pytest.raises(Refused, match=r"per_page.*less than or equal to 5"):
        await Api(5).read()
