"""The actions of the console on dead letters and recordings, which need the token."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from recording_sandbox.waiting import Eventually
from recording_schemas import Status
from tests.contract.store.test_pruning import observation
from tests.integration.console.console_client import TOKEN, ConsoleClient, running_console
from tests.integration.dead_letter_queue import RECORDING, BrokerQueues, column, sync
from worker.settings.secret import REDACTED
from worker.store.store import Store

SECRET = "sesame-4711"  # noqa: S105 - of this test


@pytest.fixture
async def environ(
    amqp_url: str, names_prefix: str, broker: BrokerQueues, tmp_path: Path
) -> dict[str, str]:
    """The variables of a console with a token, a live recording and an ended one."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    store = await Store.open(url, source="test")
    await store.apply([observation(RECORDING)])
    await store.apply([observation("ended", Status.ERRORED, files=())])
    await store.close()
    return {
        "AMQP_URL": amqp_url,
        "DATABASE_URL": url,
        "WORKER_NAME_PREFIX": names_prefix,
        "WORKER_CONSOLE_TOKEN": TOKEN,
    }


@pytest.fixture
async def console(environ: dict[str, str]) -> AsyncIterator[ConsoleClient]:
    """A console before the token is entered."""
    async with running_console(environ) as client:
        yield client


async def letters_of(console: ConsoleClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await console.get("/api/dead"))["letters"]
    return found


async def log_in(console: ConsoleClient) -> None:
    await console.post("/api/login", {"token": TOKEN})


def replay(letters: list[dict[str, Any]], *, new_id: bool) -> dict[str, Any]:
    fingerprints = column(letters, "fingerprint")
    return {"type": "replay", "letters": fingerprints, "new_id": new_id}


async def test_letters_are_shown_without_their_secrets(
    console: ConsoleClient, broker: BrokerQueues
) -> None:
    config = {"storage_config": {"type": "aws", "secret": SECRET}}
    await broker.bury(sync("one", **config), headers={"authorization": SECRET})
    await broker.bury(b"no json " + SECRET.encode() + b" token=")

    first, second = await letters_of(console)
    status, _, raw = await console.request("/api/dead/one")
    (details,) = msgspec.json.decode(raw)["letters"]
    _, _, other = await console.request(f"/api/dead/{second['letter']}")

    assert (first["letter"], first["reason_code"]) == ("one", "invalid_field")
    assert status == 200
    assert details["body"]["storage_config"]["secret"] == REDACTED
    assert SECRET.encode() not in raw + other
    await console.get("/api/dead/nobody", status=404)


@pytest.mark.parametrize("path", ["/api/actions", "/api/actions/preview"])
async def test_nothing_is_done_and_nothing_previewed_without_the_token(
    console: ConsoleClient, broker: BrokerQueues, path: str
) -> None:
    await broker.bury_commands("one")
    letters = await letters_of(console)

    answer = await console.post(path, replay(letters, new_id=False), status=403)
    await console.post(path, {"type": "stop", "recording_id": RECORDING}, status=403)

    assert "log in first" in answer["error"]
    assert await broker.waiting("commands") == 0
    assert column(await letters_of(console), "letter") == ["one"]


async def test_the_first_figures_after_a_pause_have_the_letters_that_arrived_meanwhile(
    environ: dict[str, str], broker: BrokerQueues, eventually: Eventually
) -> None:
    async with running_console(environ, count_interval_seconds=0.0) as console:

        async def counted() -> int | None:
            queues = (await console.get("/api/now"))["queues"]
            return int(queues["dead"]["messages"]) if queues else None

        async def has_counted_none() -> bool:
            return await counted() == 0

        async def has_both() -> bool:
            return await broker.waiting() == 2

        await eventually(has_counted_none)
        await broker.bury_commands("one", "two")
        await eventually(has_both)
        assert await counted() == 2


@pytest.mark.parametrize("new_id", [False, True])
async def test_letters_are_replayed_as_the_preview_says_and_each_leaves_an_audit_line(
    console: ConsoleClient, broker: BrokerQueues, new_id: bool
) -> None:
    await broker.bury_commands("one", "two", "three")
    await broker.bury(b"no command")
    letters = await letters_of(console)
    chosen = [letters[0], letters[1], letters[3]]
    await log_in(console)

    preview = await console.post("/api/actions/preview", replay(chosen, new_id=new_id))
    left = column(await letters_of(console), "letter")
    with capture_logs() as lines:
        result = await console.post("/api/actions", replay(chosen, new_id=new_id))

    text = "\n".join(preview["lines"])
    expected = "2 letters will go back" if new_id else "3 letters will go back"
    assert expected in text
    assert ("under a new id" in text, "will stay" in text) == (new_id, new_id)
    assert len(left) == 4, "a preview changes nothing"
    assert result["lines"][0] == ("2 letters replayed." if new_id else "3 letters replayed.")
    assert len(await letters_of(console)) == (2 if new_id else 1)
    assert (result["command_ids"][:2] == ["one", "two"]) is not new_id
    assert len(result["command_ids"]) == (2 if new_id else 3)
    audits = [dict(line) for line in lines if line["event"] == "console_action"]
    assert column(audits, "letter") == column(chosen, "letter")
    assert {line["action"] for line in audits} == {"replay_with_new_id" if new_id else "replay"}
    assert all(line["address"] == "127.0.0.1" and line["session"] for line in audits)
    replayed = msgspec.json.decode((await broker.take()).body)
    assert (replayed["id"] == "one") is not new_id


async def test_only_the_chosen_letters_are_dropped(
    console: ConsoleClient, broker: BrokerQueues
) -> None:
    await broker.bury_commands("one", "two", "three")
    letters = await letters_of(console)
    drop = {"type": "drop", "letters": column(letters[:2], "fingerprint")}
    await log_in(console)

    preview = await console.post("/api/actions/preview", drop)
    result = await console.post("/api/actions", drop)
    again = await console.post("/api/actions/preview", drop)
    nothing = await console.post("/api/actions", drop)

    assert preview["lines"][0].startswith("2 letters will be removed permanently")
    assert result["lines"] == ["2 letters dropped."]
    assert nothing["lines"][0] == "0 letters dropped."
    assert "reads them at this moment" in nothing["lines"][1]
    assert column(await letters_of(console), "letter") == ["three"]
    assert any(line.startswith("Not in the queue: 2 letters.") for line in again["lines"])


@pytest.mark.parametrize(
    ("kind", "command"), [("stop", "stop_recording"), ("archive", "archive_recording")]
)
async def test_an_action_on_a_recording_is_a_separate_command(
    console: ConsoleClient, broker: BrokerQueues, kind: str, command: str
) -> None:
    await log_in(console)
    action = {"type": kind, "recording_id": RECORDING}

    preview = await console.post("/api/actions/preview", action)
    with capture_logs() as lines:
        result = await console.post("/api/actions", action)

    assert RECORDING in preview["lines"][0]
    sent = msgspec.json.decode((await broker.take()).body)
    assert sent == {
        "type": command, "id": result["command_ids"][0], "app": "default", "recording_id": RECORDING
    }  # fmt: skip
    (audit,) = [line for line in lines if line["event"] == "console_action"]
    assert (audit["action"], audit["command_id"]) == (kind, sent["id"])


@pytest.mark.parametrize(
    ("action", "status", "says"),
    [
        ({"type": "stop", "recording_id": "ended"}, 409, "which cannot be stopped"),
        ({"type": "stop", "recording_id": "nobody"}, 409, "no recording has this id"),
        ({"type": "stop"}, 400, "recording_id"),
        ({"type": "burn", "recording_id": "x"}, 400, "burn"),
        ({"type": "drop", "letters": []}, 400, "letters"),
        ({"type": "drop", "letters": ["x"]}, 400, "letters"),
        ({"type": "drop", "letters": ["0" * 32], "all": True}, 400, "all"),
        ([], 400, "array"),
    ],
)
async def test_an_impossible_action_is_refused_with_the_reason(
    console: ConsoleClient, broker: BrokerQueues, action: Any, status: int, says: str
) -> None:
    await log_in(console)
    for path in ("/api/actions/preview", "/api/actions"):
        assert says in (await console.post(path, action, status=status))["error"]
    assert await broker.waiting("commands") == 0


@pytest.mark.parametrize("path", ["/api/actions", "/api/actions/preview", "/api/login"])
async def test_a_body_that_is_not_utf8_is_refused_as_wrong(
    console: ConsoleClient, path: str
) -> None:
    await log_in(console)

    status, body = await console.post_bytes(
        path, b'{"recording_id":"\xff","type":"stop","token":"\xff"}'
    )

    assert (status, b"error" in body) == (400, True)
