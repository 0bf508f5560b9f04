"""Every response of the emulated API has the fields and types of the vendor's schema."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from recording_sandbox.model.meetings import participant_ids
from tests.contract.sandbox import realtimekit_facts as facts
from tests.contract.sandbox.sandbox_client import Client, connected_client

HOOK = {"name": "ours", "url": "http://127.0.0.1:1/hook", "events": ["recording.statusUpdate"]}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with connected_client() as client:
        client.sandbox.behaviour.track_download_url = "string"  # The shape that is declared.
        client.sandbox.behaviour.list_track_urls = True
        yield client


def faults(answer: httpx.Response, kind: str, status: int = 200) -> list[str]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    return facts.faults_of(answer.json(), kind)


async def test_a_start_of_a_composite_recording_answers_as_documented(client: Client) -> None:
    answer = await client.call("POST", "/recordings", json={"meeting_id": client.meeting_id})

    assert faults(answer, "one_recording") == []


async def test_a_start_of_a_track_recording_answers_as_documented(client: Client) -> None:
    answer = await client.call("POST", "/recordings/track", json={"meeting_id": client.meeting_id})

    assert faults(answer, "started_track") == []
    assert answer.json()["data"]["recording"]["type"] == "TRACK"


@pytest.mark.parametrize("kind", ["track", "composite"])
async def test_a_recording_is_shown_as_documented_in_each_status(client: Client, kind: str) -> None:
    start = client.start_track if kind == "track" else client.start_composite
    path = f"/recordings/{await start()}"
    answers = [await client.call("GET", path)]
    client.sandbox.clock.advance(1)
    answers += [
        await client.call("PUT", path, json={"action": action})
        for action in ("pause", "resume", "stop")
    ]
    client.sandbox.clock.advance(1)
    answers.append(await client.call("GET", path))

    assert [fault for answer in answers for fault in faults(answer, "one_recording")] == []
    statuses = [answer.json()["data"]["status"] for answer in answers]
    assert statuses == ["INVOKED", "PAUSED", "RECORDING", "UPLOADING", "UPLOADED"]


async def test_the_list_of_recordings_answers_as_documented(client: Client) -> None:
    await client.uploaded(await client.start_track())
    await client.uploaded(await client.start_composite())
    await client.start_track()

    answer = await client.call("GET", "/recordings")

    assert faults(answer, "recordings") == []
    assert len(answer.json()["data"]) == 3
    assert {item["type"] for item in answer.json()["data"]} == {""}


async def test_the_active_recording_of_a_meeting_is_shown_as_documented(client: Client) -> None:
    missing = await client.call("GET", f"/recordings/active-recording/{client.meeting_id}")
    await client.start_track()
    found = await client.call("GET", f"/recordings/active-recording/{client.meeting_id}")

    assert faults(missing, "refused", 404) == []
    assert faults(found, "active_recording") == []


async def test_sessions_and_their_participants_are_shown_as_documented(client: Client) -> None:
    active = await client.call("GET", f"/meetings/{client.meeting_id}/active-session")
    path = f"/sessions/{active.json()['data']['id']}"
    client.sandbox.meetings.rejoin(client.meeting_id, participant_ids(client.meeting_id)[0])
    rows = await client.call("GET", f"{path}/participants", params={"include_peer_events": "true"})
    peer = rows.json()["data"]["participants"][0]["id"]

    assert faults(active, "one_session") == []
    assert faults(rows, "participants") == []
    assert faults(await client.call("GET", path), "one_session") == []
    assert faults(await client.call("GET", f"{path}/participants/{peer}"), "one_participant") == []


async def test_the_list_of_sessions_includes_ended_ones(client: Client) -> None:
    await client.start_track()
    client.sandbox.meetings.end_session(client.meeting_id)

    answer = await client.call("GET", "/sessions", params={"associated_id": client.meeting_id})

    assert faults(answer, "sessions") == []
    assert [session["status"] for session in answer.json()["data"]["sessions"]] == ["ENDED"]


async def test_a_meeting_without_an_active_session_is_refused_as_documented(client: Client) -> None:
    client.sandbox.meetings.create(client.meeting_id)

    answer = await client.call("GET", f"/meetings/{client.meeting_id}/active-session")

    assert faults(answer, "refused", 404) == []


async def test_webhooks_can_be_changed_as_documented(client: Client) -> None:
    added = await client.call("POST", "/webhooks", json=HOOK)
    path = f"/webhooks/{added.json()['data']['id']}"
    answers = [
        await client.call("GET", path),
        await client.call("PATCH", path, json={"enabled": False}),
        await client.call("PUT", path, json={**HOOK, "name": "renamed"}),
        await client.call("DELETE", path),
    ]

    assert faults(added, "one_webhook", 201) == []
    assert [fault for answer in answers for fault in faults(answer, "one_webhook")] == []
    assert answers[1].json()["data"]["enabled"] is False
    assert answers[2].json()["data"]["name"] == "renamed"
    assert faults(await client.call("GET", path), "refused", 404) == []


async def test_the_lists_of_webhooks_and_of_events_answer_as_documented(client: Client) -> None:
    await client.call("POST", "/webhooks", json=HOOK)

    assert faults(await client.call("GET", "/webhooks"), "webhooks") == []
    assert faults(await client.call("GET", "/webhooks/all"), "webhook_events") == []
    assert set((await client.get("/webhooks/all"))["data"]) == facts.WEBHOOK_EVENTS


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/recordings", {}),
        ("POST", "/recordings/track", {"meeting_id": "not-a-uuid"}),
        ("GET", "/recordings?status=DONE", None),
        ("GET", "/recordings/not-a-uuid", None),
        ("PUT", "/recordings/not-a-uuid", {"action": "stop"}),
        ("POST", "/webhooks", {"name": "x"}),
        ("GET", "/webhooks/not-a-uuid", None),
    ],
)
async def test_a_malformed_request_is_refused_as_documented(
    client: Client, method: str, path: str, body: Any
) -> None:
    answer = await client.call(method, path, json=body)

    assert faults(answer, "refused", 400) == []


@pytest.mark.parametrize("path", ["recordings", "sessions", "webhooks"])
async def test_an_unknown_id_is_refused_as_documented(client: Client, path: str) -> None:
    assert faults(await client.call("GET", f"/{path}/{uuid.uuid4()}"), "refused", 404) == []


async def test_a_missing_token_gets_the_documented_response(client: Client) -> None:
    answer = await client.call("GET", "/recordings", headers={"Authorization": ""})

    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"})


async def test_an_unknown_path_gets_the_gateways_error(client: Client) -> None:
    answer = await client.call("GET", "/nothing")

    assert answer.status_code == 404
    assert answer.json()["errors"] == [{"code": 7003, "message": "No route for the URI"}]


def test_the_schema_check_reports_a_deviation() -> None:
    broken = {"success": True, "data": {"status": "DONE", "id": 1}}

    found = facts.faults_of(broken, "one_recording")

    assert "$.data.status: 'DONE'" in found
    assert "$.data.id: 1 is not uuid" in found
    assert "$.data.invoked_time: missing" in found
