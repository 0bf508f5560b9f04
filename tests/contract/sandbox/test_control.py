"""The control plane over HTTP, with which other processes control the sandbox."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from recording_sandbox.api.options import SandboxOptions
from tests.contract.sandbox.sandbox_client import Client, connected_client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected_client() as client:
        yield client


async def control(client: Client, method: str, path: str, body: Any = None) -> httpx.Response:
    return await client.http.request(method, f"{client.sandbox.control_url}{path}", json=body)


async def test_a_meeting_is_created_and_participants_join_and_leave(client: Client) -> None:
    body = {"id": client.meeting_id, "participants": ["ann", "bob"], "title": "Weekly"}
    created = await control(client, "POST", "/meetings", body)
    ann, bob = [person["id"] for person in created.json()["participants"]]
    path = f"/meetings/{client.meeting_id}"

    await control(client, "POST", f"{path}/rejoin", {"user_id": ann})
    await control(client, "POST", f"{path}/leave", {"user_id": bob})
    joined = await control(client, "POST", f"{path}/join", {"custom_participant_id": "carol"})

    rows = joined.json()["presences"]
    present = [row["custom_participant_id"] for row in rows if "left_at" not in row]
    assert (created.status_code, len(rows), present) == (201, 4, ["ann", "carol"])
    ended = await control(client, "POST", f"{path}/end", {})
    assert ended.json()["session"] is None


async def test_faults_are_added_listed_and_cleared(client: Client) -> None:
    fault = {"kind": "refuse", "operation": "list_recordings", "status": 500, "count": 5}
    added = await control(client, "POST", "/faults", fault)
    struck = await client.call("GET", "/recordings")
    (listed,) = (await control(client, "GET", "/faults")).json()

    cleared = await control(client, "DELETE", f"/faults/{added.json()['id']}")

    assert (struck.status_code, listed["triggered"], cleared.json()) == (500, 1, [])
    assert (await client.call("GET", "/recordings")).status_code == 200


async def test_the_clock_is_advanced_and_its_speed_changed(client: Client) -> None:
    recording_id = await client.start_track()

    clock = await control(client, "PATCH", "/clock", {"advance": 5, "speed": 2})

    assert clock.json()["speed"] == 2
    response = await client.get(f"/recordings/{recording_id}")
    assert response["data"]["status"] == "RECORDING"


async def test_the_behaviour_is_read_and_changed(client: Client) -> None:
    changed = await control(client, "PATCH", "/behaviour", {"invoked_seconds": 9.5})

    assert changed.json()["invoked_seconds"] == 9.5
    assert client.sandbox.behaviour.invoked_seconds == 9.5


async def test_a_recording_is_forced_into_a_status_and_made_to_vanish(client: Client) -> None:
    recording_id = await client.start_track()

    forced = await control(client, "PUT", f"/recordings/{recording_id}", {"status": "ERRORED"})
    deleted = await control(client, "DELETE", f"/recordings/{recording_id}")
    again = await control(client, "DELETE", f"/recordings/{recording_id}")

    assert forced.json() == {"id": recording_id, "status": "ERRORED"}
    assert (deleted.status_code, again.status_code) == (200, 404)


async def test_a_recording_is_started_as_by_another_service(client: Client) -> None:
    body = {"kind": "composite", "app_id": "app", "meeting_id": client.meeting_id}
    started = await control(client, "POST", "/recordings", {**body, "reason": "RECORD_ON_START"})

    (listed,) = (await client.get("/recordings"))["data"]
    recording = (await client.get(f"/recordings/{listed['id']}"))["data"]
    assert (started.status_code, started.json()["id"]) == (201, listed["id"])
    assert recording["start_reason"]["reason"] == "RECORD_ON_START"
    assert [request.operation for request in client.sandbox.request_log.requests] == [
        "list_recordings",
        "get_recording",
    ]


async def test_tokens_and_the_webhook_key_are_replaced(client: Client) -> None:
    before = (await client.http.get(client.sandbox.webhook_key_url)).json()

    await control(client, "POST", "/webhooks/rotate-key", {})
    await control(client, "POST", "/tokens", {"revoke": "any"})

    after = (await client.http.get(client.sandbox.webhook_key_url)).json()
    assert before["data"]["publicKey"] != after["data"]["publicKey"]
    assert (await client.call("GET", "/recordings")).status_code == 401


async def test_the_request_log_is_read_by_kind_from_a_number_and_as_json_lines(
    client: Client,
) -> None:
    await client.start_track()
    total = client.sandbox.request_log.total
    client.sandbox.clock.advance(1)

    transitions = (await control(client, "GET", "/request-log?kind=transition")).json()
    later = (await control(client, "GET", f"/request-log?since={total}")).json()
    lines = await control(client, "GET", "/request-log?format=jsonl")

    assert [entry["status"] for entry in transitions["entries"]] == ["INVOKED", "RECORDING"]
    assert [entry["status"] for entry in later["entries"]] == ["RECORDING"]
    assert len(lines.text.splitlines()) == client.sandbox.request_log.total
    assert transitions["counts"]["started.track"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "named"),
    [
        ("POST", "/meetings", {"id": "x"}, 400, '"id"'),
        ("POST", "/meetings", {"people": 3}, 400, '"people"'),
        ("POST", f"/meetings/{uuid.UUID(int=1)}/join", {}, 404, "meeting"),
        ("POST", "/faults", {"kind": "nonsense"}, 400, '"kind"'),
        ("POST", "/faults", {"kind": "refuse", "operation": "stop_recording"}, 400, "operation"),
        ("DELETE", "/faults/none", None, 404, "fault"),
        ("PATCH", "/behaviour", {"invoked_seconds": -1}, 400, "invoked_seconds"),
        ("PATCH", "/behaviour", {"nonsense": 1}, 400, "nonsense"),
        ("PATCH", "/clock", {"advance": -1}, 400, "forward"),
        ("GET", "/request-log?kind=nonsense", None, 400, '"kind"'),
        ("GET", "/request-log?since=x", None, 400, '"since"'),
    ],
)
async def test_an_error_names_the_invalid_field(
    client: Client, method: str, path: str, body: Any, status: int, named: str
) -> None:
    answer = await control(client, method, path, body)

    assert answer.status_code == status
    assert named in answer.json()["error"]


async def test_a_bounded_request_log_drops_entries_and_keeps_counts(tmp_path: Path) -> None:
    lines = tmp_path / "requests.jsonl"
    async with connected_client(
        SandboxOptions(request_log_limit=2, request_log_path=lines)
    ) as client:
        for _ in range(5):
            await client.get("/recordings")
        log = client.sandbox.request_log

        assert (len(log.requests), len(log.entries()), log.total) == (2, 2, 5)
        assert len(log.entries(since=4)) == 1
        assert log.counts["request.list_recordings.200"] == 5
    entries = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [entry["operation"] for entry in entries] == ["list_recordings"] * 5


async def test_the_summary_counts_meetings_and_recordings(client: Client) -> None:
    await client.start_track()

    state = (await control(client, "GET", "")).json()

    assert (state["meetings"], state["recordings"], state["breaches"]) == (1, 1, 0)
    assert state["base_url"] == client.sandbox.base_url


async def test_a_session_may_begin_later(client: Client) -> None:
    body = {"id": client.meeting_id, "participants": 2, "begins_in": 30}
    await control(client, "POST", "/meetings", body)
    active = f"/meetings/{client.meeting_id}/active-session"
    assert (await client.call("GET", active)).status_code == 404
    live = {"status": "LIVE"}
    assert (await client.get("/sessions", **live))["data"]["sessions"] == []
    client.sandbox.clock.advance(30)
    assert (await client.call("GET", active)).status_code == 200
    (session,) = (await client.get("/sessions", **live))["data"]["sessions"]
    assert (session["associated_id"], session["live_participants"]) == (client.meeting_id, 2)
