"""A replay repeats all events of its recording in order, and its outcome is the last message."""

from collections.abc import Iterator

from tests.oracle.evidence import Evidence, Sent


def check_replays(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong. Only replays with a reply queue and a correlation id are judged."""
    outcomes = evidence.outcomes()
    for command_id, messages in evidence.commands().items():
        outcome = outcomes.get(command_id)
        is_done = outcome is not None and outcome.kind == "command.succeeded.v1"
        first = messages[0]
        is_judged = first.reply_to is not None and first.correlation_id is not None
        if first.type == "replay_recording" and len(messages) == 1 and is_done and is_judged:
            yield from _wrong_replay(first, evidence)


def _wrong_replay(replay: Sent, evidence: Evidence) -> Iterator[str]:
    replies = [each for each in evidence.replies if each.correlation_id == replay.correlation_id]
    firsts = list({each.id: each for each in reversed(replies)}.values())[::-1]
    events = [each for each in firsts if each.kind.startswith("recording.")]
    sequences = [str(each.event.get("sequence")) for each in events]
    if sequences != sorted(sequences):
        yield f"the replay {replay.id} came as {sequences}"
    if firsts and firsts[-1].kind.startswith("recording."):
        yield f"the outcome of the replay {replay.id} is not its last message"
    recording_id = (replay.command or {}).get("recording_id", "")
    before = [each for each in evidence.events().get(recording_id, []) if each.at < replay.at]
    missing = {each.id for each in before} - {each.id for each in events}
    if missing:
        yield f"the replay {replay.id} lacks {len(missing)} of {len(before)} events"
