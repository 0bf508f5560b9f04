"""Messages that are not commands, and the secrets in a command."""

from pathlib import Path

import pytest

from recording_sandbox.model.faults import Fault
from tests.integration.command_bench import CommandBench
from worker.broker.messages import Ack, Dead


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b"[]", "not_an_object"),
        (b'{"id":"x"}', "missing_type"),
        (b'{"type":"start_the_party","id":"x"}', "unknown_type"),
        (b'{"type":"sync_recording","id":"x","recording_id":"r"}', "invalid_field"),
        (b"x" * 10_001, "too_large"),
    ],
)
async def test_an_invalid_message_becomes_a_dead_letter_with_its_reason(
    bench: CommandBench, body: bytes, code: str
) -> None:
    settlement = await bench.send_raw(body, message_id="m-1")
    assert isinstance(settlement, Dead)
    assert settlement.code == code
    (outcome,) = [*await bench.outcomes("m-1"), *await bench.outcomes("x")]
    assert outcome["data"]["code"] == code
    assert outcome["routing_key"].endswith(".rejected")


async def test_a_misspelt_field_is_refused_by_name_and_nobody_is_recorded(
    bench: CommandBench,
) -> None:
    settlement = await bench.send(bench.start(user_idz=["ada"]))
    assert isinstance(settlement, Dead)
    data = (await bench.outcome())["data"]
    assert (data["code"], data["field"]) == ("unknown_field", "user_idz")
    assert bench.started() == []


async def test_a_command_without_an_id_becomes_a_dead_letter_without_an_outcome(
    bench: CommandBench,
) -> None:
    command = {"type": "start_track_recording", "meeting_id": bench.meeting}
    settlement = await bench.send(command)
    assert isinstance(settlement, Dead)
    assert settlement.code == "missing_id"
    assert await bench.store.unsent(10) == []


async def test_an_unknown_app_is_rejected_by_name(bench: CommandBench) -> None:
    await bench.send(bench.start(app="other"))
    data = (await bench.outcome())["data"]
    assert (data["code"], data["field"]) == ("unknown_app", "app")


async def test_a_credential_that_the_api_repeats_appears_nowhere(
    bench: CommandBench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.sandbox.faults.add(Fault(kind="echo_body", operation="start_recording"))
    storage = {"type": "aws", "access_key": "AKIA-X", "secret": "hunter2-key", "bucket": "b"}
    settlement = await bench.send(bench.start(type="start_recording", storage_config=storage))
    assert settlement == Ack()
    assert "[secure]" in (await bench.outcome())["data"]["message"]
    await bench.store.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"hunter2-key" not in written
    captured = capsys.readouterr()
    assert "hunter2-key" not in captured.out + captured.err


async def test_a_body_that_was_dropped_unread_has_an_outcome_under_the_id_of_its_properties(
    bench: CommandBench,
) -> None:
    attributes = {"specversion": "1.0", "id": "event-id", "source": "/x", "type": "y"}
    headers = {f"cloudEvents:{name}": value for name, value in attributes.items()}
    for properties in ({"message_id": "m-1"}, {"message_id": "m-2", "headers": headers}):
        settlement = await bench.send_raw(b"", unread_bytes=10_001, **properties)
        assert settlement == Dead(
            code="too_large", reason="the body has 10001 bytes; at most 10000 are read"
        )
    for command_id in ("m-1", "event-id"):
        assert (await bench.outcome(command_id))["data"]["code"] == "too_large"
