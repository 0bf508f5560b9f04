"""`recordings show`, `outcomes` and the order of `recordings`, on both engines."""

import asyncio
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recording_schemas import (
    CommandFailed,
    CommandRejected,
    CommandSucceeded,
    ErrorInfo,
    Outcome,
    Status,
)
from tests.integration.cli_process import CommandLine
from tests.state_queries import read_state
from tests.store_requests import claim_request, observation_of
from worker.domain.event_envelopes import outcome_record
from worker.domain.recording import Observation, StartContext
from worker.domain.snapshot import RecordingSnapshot
from worker.domain.track_files import TrackFile
from worker.store.admin.past_commands import (
    PAGE_ROWS,
    PastCommandsFilter,
    find_past_commands,
)
from worker.store.finishing import FinishRequest
from worker.store.outbox import Reply
from worker.store.outbox_marks import Deferral, PageMarks
from worker.store.releasing import ReleaseRequest
from worker.store.store import Store

NOW = datetime.now(UTC)
SECRET_URL = "https://files.example.com/a.webm?X-Signature=secret"  # noqa: S105 - not a password
HOSTILE = "\x1b[31mred\u202e"


def observation(
    recording_id: str,
    status: Status = Status.RECORDING,
    *,
    at: datetime = NOW,
    start: StartContext | None = None,
    files: tuple[TrackFile, ...] | None = None,
    app: str = "default",
) -> Observation:
    snapshot = RecordingSnapshot(
        recording_id=recording_id,
        status=status,
        kind="track",
        meeting_id="m-1",
        download_url_expiry=NOW + timedelta(days=7),
    )
    return observation_of(
        snapshot,
        at,
        start=start,
        files=files,
        app=app,
    )


async def run(
    store: Store,
    outcome: Outcome,
    *observations: Observation,
    at: datetime = NOW,
    app: str = "default",
) -> None:
    """A command with an outcome."""
    request = claim_request(outcome.command_id, outcome.command_type, now=at.timestamp(), app=app)
    await store.claim(request)
    record = outcome_record(outcome, source="test", at=at, correlation_id=None, trace={})
    await store.finish(
        FinishRequest(outcome=record, reply=Reply(), observations=observations, now=at.timestamp())
    )


def succeeded(command_id: str, command_type: str = "start_track_recording") -> CommandSucceeded:
    return CommandSucceeded(
        command_id=command_id, command_type=command_type, recording_ids=("r-1",), metadata=None
    )


def rejected(command_id: str, code: str = "not_found") -> CommandRejected:
    return CommandRejected(
        command_id=command_id,
        command_type="stop_recording",
        code=code,
        message="nothing of that id",
        field=None,
        http_status=404,
        metadata=None,
    )


async def store_detailed_recording(store: Store) -> None:
    """A recording with every detail that a recording can have."""
    start = StartContext(
        start_id="start-1",
        user_ids=("alice",),
        custom_ids={"alice": "alice@example.com"},
        max_seconds=3600,
        metadata={"case": HOSTILE},
    )
    await run(store, succeeded("start-1"), observation("r-1", start=start))
    files = (TrackFile(file_name="a.webm", media_kind="audio", download_url=SECRET_URL),)
    ended = observation("r-1", Status.UPLOADED, at=NOW + timedelta(seconds=60), files=files)
    await store.apply([ended])
    page = await store.unsent(10, replies=False)
    own = [event for event in page if event.subject == "r-1"]
    aside = Deferral(position=own[1].position, retry_at=-1.0, tries=3, losses=3, error=HOSTILE)
    await store.mark_page(PageMarks(sent=[own[0].position], deferred=[aside]), NOW.timestamp() + 90)


# recordings show


@pytest.mark.parametrize("wanted_id", ["r-1", "start-1"])
async def test_a_recording_is_shown_with_everything_that_is_known(
    database_url: str, tmp_path: Path, wanted_id: str
) -> None:
    cli = CommandLine({"DATABASE_URL": database_url}, tmp_path)
    store = await Store.open(database_url, source="test")
    await store_detailed_recording(store)

    shown = await cli("recordings", "show", wanted_id)

    await store.close()
    (details,) = shown.lines
    assert '\n  "status": "UPLOADED",\n' in shown.out, "grep finds a field"
    assert (details["recording_id"], details["status"]) == ("r-1", "UPLOADED")
    assert details["metadata"] == {"case": HOSTILE}
    assert details["start"]["custom_ids"] == {"alice": "alice@example.com"}
    assert details["start"]["max_seconds"] == 3600
    assert details["start_command"]["outcome"] == "succeeded"
    assert [(change["status"], change["observed_by"]) for change in details["timeline"]] == [
        ("RECORDING", "sweep"),
        ("UPLOADED", "sweep"),
    ]
    assert [file["file_name"] for file in details["files"]] == ["a.webm"]
    assert details["participants_without_file"] is None
    events = details["events"]
    assert [int(event["sequence"]) for event in events] == [1, 2, 3, 4]
    assert [event["state"] for event in events] == ["sent", "set aside", "waiting", "waiting"]
    assert all(uuid.UUID(event["id"]) for event in events)
    assert "secret" not in shown.out


async def test_a_recording_is_readable_on_a_terminal_of_80_columns(
    database_url: str, tmp_path: Path
) -> None:
    cli = CommandLine({"DATABASE_URL": database_url}, tmp_path)
    store = await Store.open(database_url, source="test")
    await store_detailed_recording(store)

    shown = await cli("recordings", "show", "r-1", "--no-json")

    await store.close()
    for text in (
        "track recording r-1  UPLOADED",
        "alice, alice@example.com",
        "a.webm",
        "set aside",
    ):
        assert text in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert re.search(r"[\x1b\u202e]", shown.out) is None
    assert r"\x1b[31mred\u202e" in shown.out
    assert "secret" not in shown.out


async def test_a_start_without_a_recording_is_shown_with_its_outcome(
    sqlite_url: str, tmp_path: Path
) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    store = await Store.open(sqlite_url, source="test")
    await run(store, rejected("start-2", "already_recording"))
    await store.close()

    shown = await cli("recordings", "show", "start-2", "--json")
    table = await cli("recordings", "show", "start-2", "--no-json")

    (details,) = shown.lines
    assert details["recording_id"] is None
    assert details["start_command"]["code"] == "already_recording"
    assert "already_recording" in table.out
    assert table.code == 0


async def test_an_id_that_nobody_knows_is_an_error(sqlite_url: str, tmp_path: Path) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    await (await Store.open(sqlite_url, source="test")).close()

    shown = await cli("recordings", "show", "nobody")

    assert (shown.code, shown.out) == (1, "")
    assert "no recording and no start command has the id nobody" in shown.err


async def test_events_beyond_the_limit_are_said_to_exist(sqlite_url: str, tmp_path: Path) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    store = await Store.open(sqlite_url, source="test")
    await store_detailed_recording(store)
    await store.close()

    shown = await cli("recordings", "show", "r-1", "--max-events", "2")

    assert len(shown.lines[0]["events"]) == 2
    assert "There are more events" in shown.err


# recordings --sort


async def test_recordings_are_sorted_and_selected_by_age(database_url: str, tmp_path: Path) -> None:
    cli = CommandLine({"DATABASE_URL": database_url}, tmp_path)
    store = await Store.open(database_url, source="test")
    for hours, app in ((1, "eu"), (2, "default"), (3, "eu")):
        first = NOW - timedelta(hours=hours)
        await store.apply([observation(f"live-{hours}", at=first, app=app)])
        over = observation(f"over-{hours}", Status.ERRORED, at=first, app=app, files=())
        await store.apply([over])
    changed = observation("live-3", Status.PAUSED, at=NOW, app="eu")
    await store.apply([changed])
    await store.close()

    async def listed(*flags: str) -> list[str]:
        found = await cli("recordings", *flags)
        return [row["recording_id"] for row in found.lines]

    assert (await listed())[0] == "live-3"
    assert (await listed("--sort", "unchanged"))[0] == "over-3"
    assert await listed("--sort", "age") == ["live-3", "live-2", "live-1"]
    assert await listed("--sort", "age", "--older-than", "90m") == ["live-3", "live-2"]
    assert await listed("--sort", "age", "--app", "eu", "--limit", "1") == ["live-3"]
    assert set(await listed("--newer-than", "90m")) == {"live-3", "live-1", "over-1"}
    assert await listed("--newer-than", "150m", "--older-than", "90m", "--app", "default") in (
        ["live-2", "over-2"],
        ["over-2", "live-2"],
    )
    assert await listed("--app", "eu", "--sort", "unchanged", "--status", "ERRORED") == [
        "over-3",
        "over-1",
    ]


@pytest.mark.parametrize("wrong", ["soon", "2 h", "-1h", "1e9d", ""])
async def test_a_wrong_duration_is_named(tmp_path: Path, wrong: str) -> None:
    cli = CommandLine({"DATABASE_URL": "sqlite:///nothing.db"}, tmp_path)

    ended = await cli("recordings", "--older-than", wrong)

    assert ended.code == 2
    assert "--older-than" in ended.err
    assert "is not a duration" in ended.err


# outcomes


async def many_outcomes(store: Store) -> None:
    failed = CommandFailed(
        command_id="start-3",
        command_type="start_recording",
        attempts=4,
        last_error=ErrorInfo(code="unavailable", message=HOSTILE),
        metadata=None,
    )
    ended: list[tuple[Outcome, str]] = [
        (succeeded("start-1"), "default"),
        (rejected("stop-1"), "eu"),
        (failed, "eu"),
        (rejected("stop-2", "not_stoppable"), "default"),
    ]
    for hours, (outcome, app) in enumerate(reversed(ended)):
        await run(store, outcome, at=NOW - timedelta(hours=hours), app=app)


async def test_outcomes_are_listed_newest_first_and_can_be_selected(
    database_url: str, tmp_path: Path
) -> None:
    cli = CommandLine({"DATABASE_URL": database_url}, tmp_path)
    store = await Store.open(database_url, source="test")
    await many_outcomes(store)

    async def listed(*flags: str) -> list[str]:
        found = await cli("outcomes", *flags)
        return [row["command_id"] for row in found.lines]

    everything = await cli("outcomes")
    assert [row["command_id"] for row in everything.lines] == [
        "stop-2",
        "start-3",
        "stop-1",
        "start-1",
    ]
    rows: dict[str, dict[str, Any]] = {row["command_id"]: row for row in everything.lines}
    assert rows["start-3"]["code"] == "unavailable"
    assert rows["stop-1"]["data"]["http_status"] == 404
    assert rows["start-1"]["data"]["recording_ids"] == ["r-1"]
    assert await listed("--outcome", "rejected") == ["stop-2", "stop-1"]
    assert await listed("--outcome", "failed", "--outcome", "succeeded") == ["start-3", "start-1"]
    assert await listed("--code", "not_found", "--code", "unavailable") == ["start-3", "stop-1"]
    assert len(await listed("--since", "2001-02-03")) == 4
    assert await listed("--code", "unavailable") == ["start-3"]
    assert await listed("--type", "start_recording") == ["start-3"]
    assert await listed("--app", "eu") == ["start-3", "stop-1"]
    assert await listed("--id", "stop-1") == ["stop-1"]
    assert await listed("--id", "stop-1", "--outcome", "failed") == []
    assert await listed("--id", "stop-2", "--since", "90m") == ["stop-2"]
    assert await listed("--id", "stop-1", "--since", "90m") == []
    assert await listed("--since", "90m") == ["stop-2", "start-3"]
    until = (NOW - timedelta(minutes=150)).isoformat()
    assert await listed("--until", until) == ["start-1"]
    assert await listed("--limit", "1") == ["stop-2"]
    await store.close()


async def test_a_summary_counts_outcomes_by_type_outcome_and_code_with_the_latest(
    database_url: str, tmp_path: Path
) -> None:
    cli = CommandLine({"DATABASE_URL": database_url}, tmp_path)
    store = await Store.open(database_url, source="test")
    await many_outcomes(store)
    await run(store, rejected("stop-3"), at=NOW - timedelta(days=2))
    await store.close()

    everything = await cli("outcomes", "--summary")
    recent = await cli("outcomes", "--summary", "--since", "1d", "--type", "stop_recording")
    one = await cli("outcomes", "--summary", "--id", "stop-1")
    table = await cli("outcomes", "--summary", "--limit", "1", "--no-json")

    assert [
        (row["command_type"], row["outcome"], row["code"], row["count"], row["latest_id"])
        for row in everything.lines
    ] == [
        ("stop_recording", "rejected", "not_found", 2, "stop-1"),
        ("stop_recording", "rejected", "not_stoppable", 1, "stop-2"),
        ("start_recording", "failed", "unavailable", 1, "start-3"),
        ("start_track_recording", "succeeded", None, 1, "start-1"),
    ]
    assert [(row["code"], row["count"]) for row in recent.lines] == [
        ("not_stoppable", 1),
        ("not_found", 1),
    ]
    assert [(row["latest_id"], row["count"]) for row in one.lines] == [("stop-1", 1)]
    assert len(table.out.splitlines()) == 2
    assert "--limit is 1" in table.err


@pytest.mark.parametrize("text", ["1a2b", "1a2b3c4d-0000"])
async def test_a_short_id_is_completed_and_several_candidates_are_listed(
    sqlite_url: str, tmp_path: Path, text: str
) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    store = await Store.open(sqlite_url, source="test")
    first, second = (f"1a2b3c4d-0000-4000-8000-00000000000{number}" for number in (1, 2))
    await store.apply([observation(first)])
    alone = await cli("recordings", "show", text)
    listed = await cli("recordings", "--recording-id", text)
    await store.apply([observation(second)])
    await store.close()

    several = await cli("recordings", "show", text)

    assert alone.lines[0]["recording_id"] == listed.lines[0]["recording_id"] == first
    assert several.code == 2
    assert first in several.err
    assert second in several.err


async def test_people_are_shown_the_only_id_that_begins_like_theirs_and_scripts_are_not(
    sqlite_url: str, tmp_path: Path
) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    store = await Store.open(sqlite_url, source="test")
    await run(store, rejected("weekly-start"), at=NOW)
    await run(store, rejected("weekly-stop"), at=NOW)
    await run(store, rejected("daily-start"), at=NOW)
    await store.close()

    shown = await cli("recordings", "show", "daily", "--no-json")
    outcome = await cli("outcomes", "--id", "weekly-sta", "--no-json")
    several = await cli("recordings", "show", "weekly-", "--no-json")
    asked_by_scripts = [
        await cli("recordings", "show", "daily"),
        await cli("outcomes", "--id", "daily"),
    ]

    assert "Start command daily-start" in shown.out
    assert "One id begins with it: daily-start" in shown.err
    assert "weekly-start" in outcome.out
    assert (several.code, several.out) == (1, "")
    assert "weekly-start, weekly-stop" in several.err
    assert [answer.out for answer in asked_by_scripts] == ["", ""]


@pytest.mark.parametrize(
    ("text", "words"), [("order-", "Several ids begin"), ("order-1", "One id")]
)
async def test_an_unknown_id_is_answered_with_the_ids_that_begin_with_it(
    sqlite_url: str, tmp_path: Path, text: str, words: str
) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    store = await Store.open(sqlite_url, source="test")
    await store.apply([observation("order-17"), observation("order-20")])
    await run(store, rejected("order-17"), at=NOW)
    await run(store, rejected("order-20"), at=NOW)
    await store.close()

    commands = (
        ("recordings", "show", text),
        ("recordings", "--recording-id", text),
        ("outcomes", "--id", text),
        ("archive", "list", "--recording-id", text),
    )
    ended = [await cli(*arguments) for arguments in commands]

    assert [listed.code for listed in ended] == [1, 0, 0, 0]
    for listed in ended:
        assert words in listed.err
        assert "order-17" in listed.err
        assert ("order-20" in listed.err) is (text == "order-")


async def test_a_start_that_waits_for_its_session_has_no_error(
    sqlite_url: str, tmp_path: Path
) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    store = await Store.open(sqlite_url, source="test")
    await run_waiting(store, "start-9", code="no_session")
    await run_waiting(store, "start-8", code="unavailable")
    await store.close()

    waiting = await cli("recordings", "show", "start-9", "--no-json")
    failing = await cli("recordings", "show", "start-8", "--no-json")

    assert "waits for       the session of its meeting" in waiting.out
    assert "last error" not in waiting.out
    assert "last error      unavailable" in failing.out


async def run_waiting(store: Store, command_id: str, *, code: str) -> None:
    """Claim a command, and release it after a failed attempt."""
    await store.claim(claim_request(command_id, "start_recording", now=NOW.timestamp()))
    error = msgspec.json.encode(ErrorInfo(code=code, message="words")).decode()
    await store.release(
        ReleaseRequest(command_id=command_id, uncertain=False, last_error=error, owner="me")
    )


async def test_outcomes_of_one_moment_are_all_found(database_url: str) -> None:
    store = await Store.open(database_url, source="test")
    count = 2 * PAGE_ROWS + 7
    await asyncio.gather(*(run(store, rejected(f"stop-{n:04}")) for n in range(count)))
    await store.close()

    found = read_state(database_url, find_past_commands, PastCommandsFilter(limit=10_000))

    assert len({command.command_id for command in found.commands}) == len(found.commands) == count
    assert found.looked_back_to is None


async def test_outcomes_fit_a_terminal_of_80_columns(sqlite_url: str, tmp_path: Path) -> None:
    cli = CommandLine({"DATABASE_URL": sqlite_url}, tmp_path)
    store = await Store.open(sqlite_url, source="test")
    await many_outcomes(store)
    await run(store, msgspec.structs.replace(rejected("x" * 12), code=HOSTILE))
    await store.close()

    table = await cli("outcomes", "--no-json")

    assert max(map(len, table.out.splitlines())) <= 80
    assert re.search(r"[\x1b\u202e]", table.out) is None


@pytest.mark.parametrize(
    "flags",
    [("--type", "strat_recording"), ("--since", "yesterday"), ("--outcome", "ok")],
)
async def test_a_wrong_filter_is_named(tmp_path: Path, flags: tuple[str, str]) -> None:
    cli = CommandLine({"DATABASE_URL": "sqlite:///nothing.db"}, tmp_path)

    ended = await cli("outcomes", *flags)

    assert ended.code == 2
    assert flags[0] in ended.err


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("recordings", "show"), "ID"),
        (("recordings", "--meeting-id"), "--meeting-id"),
        (("outcomes", "--id"), "--id"),
    ],
)
async def test_bytes_that_are_no_text_are_named(
    sqlite_url: str, tmp_path: Path, command: tuple[str, ...], named: str
) -> None:
    await (await Store.open(sqlite_url, source="test")).close()

    ended = await CommandLine({"DATABASE_URL": sqlite_url}, tmp_path, installed=True)(
        *command, "\udcff"
    )

    assert ended.code == 2
    assert f"'{named}': it is not valid UTF-8" in ended.err


@pytest.mark.parametrize("flags", [("--json",), ("--limit", "5"), ("--app", "eu")])
async def test_a_flag_of_the_list_before_show_is_refused(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    ended = await CommandLine({}, tmp_path)("recordings", *flags, "show", "r")

    assert ended.code == 2
    assert flags[0] in ended.err


@pytest.mark.parametrize("command", [("recordings", "show"), ("recordings",), ("outcomes",)])
async def test_the_help_has_examples(tmp_path: Path, command: tuple[str, ...]) -> None:
    shown = await CommandLine({}, tmp_path)(*command, "--help")

    assert "Examples:" in shown.out
    assert f"recording-worker {' '.join(command)}" in shown.out
