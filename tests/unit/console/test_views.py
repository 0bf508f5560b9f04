"""The JSON of the page: no URL with its query, people with their stays, traces."""

from datetime import UTC, datetime
from typing import Any

from worker.console.views import people_of, without_queries
from worker.store.admin.recording_details import KeptEvent

SECRET = "https://files.example.com/a.webm?X-Signature=secret"  # noqa: S105 - not a password


def file_ready(number: int, participant: dict[str, Any] | None) -> KeptEvent:
    return KeptEvent(
        event_id=f"e{number}",
        event_type="recording.file_ready.v1",
        sequence=str(number),
        time=datetime.now(UTC).isoformat(),
        routing_key="track.audio.ready",
        state="sent",
        sent_at=1.0,
        tries=0,
        last_error=None,
        data={"file_name": f"{number}.webm", "participant": participant},
    )


def person(user_id: str | None, peer_id: str) -> dict[str, Any]:
    names = ("custom_participant_id", "display_name", "preset_name", "joined_at", "left_at")
    return {"user_id": user_id, "peer_id": peer_id, **dict.fromkeys(names)}


def test_a_url_loses_the_query_that_permits_the_download_wherever_it_stands() -> None:
    value = {"a": [SECRET, {"b": SECRET}], "c": (SECRET,), "d": "https no url?x", "e": 1}
    plain = SECRET.partition("?")[0]
    assert without_queries(value) == {
        "a": [plain, {"b": plain}],
        "c": [plain],
        "d": "https no url?x",
        "e": 1,
    }


def test_each_person_has_a_stay_for_each_file() -> None:
    events = (
        file_ready(1, person("u1", "p1")),
        file_ready(2, person("u2", "p2")),
        file_ready(3, person("u1", "p3")),
        file_ready(4, None),
        file_ready(5, person(None, "p5")),
    )
    stays = {
        person["user_id"]: [stay["peer_id"] for stay in person["stays"]]
        for person in people_of(events)
    }
    assert stays == {"u1": ["p1", "p3"], "u2": ["p2"], None: ["p5"]}
