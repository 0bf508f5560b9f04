"""Writes what a history left behind, in order of time, for somebody who looks for the cause."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.oracle.evidence import Evidence


def write_records(folder: Path, evidence: Evidence, script: str, logs: Path) -> None:
    """A time line, the script, and the files of the workers."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(logs, folder)
    (folder / "script.json").write_text(script)
    lines = sorted(_lines(evidence))
    first = lines[0][0] if lines else 0.0
    text = "".join(f"{at - first:8.3f} {line}\n" for at, line in lines)
    (folder / "time-line.txt").write_text(f"0 is {first}\n{text}")


def _lines(evidence: Evidence) -> Iterator[tuple[float, str]]:
    yield from _messages(evidence)
    yield from _requests(evidence)
    yield from _truth(evidence)
    for absence in evidence.absences:
        yield absence.begin, f"AWAY {absence.replica} for {absence.end - absence.begin:.2f} s"
    yield evidence.calm_from, "CALM"


def _messages(evidence: Evidence) -> Iterator[tuple[float, str]]:
    for sent in evidence.sent:
        yield sent.at, f"SENT {sent.id} {sent.command or sent.body!r} {sent.correlation_id}"
    for message in (*evidence.received, *evidence.replies):
        where = message.exchange or "REPLY"
        yield message.at, f"EVENT {where} {message.routing_key} {message.id} {message.event}"


def _requests(evidence: Evidence) -> Iterator[tuple[float, str]]:
    for request in evidence.truth.requests:
        seconds = (request.done or request.at) - request.at
        asked = f"{request.replica} {request.operation} {request.target} {request.query}"
        answer = f"{request.status} in {seconds:.3f} ({request.fault})"
        effect = f"effect {request.effect} shown {request.shown}"
        yield request.at, f"REQUEST {asked} {request.body} -> {answer} {effect}"
    for delivery in evidence.truth.deliveries:
        yield delivery.at, f"WEBHOOK {delivery}"


def _truth(evidence: Evidence) -> Iterator[tuple[float, str]]:
    for recording in evidence.truth.recordings.values():
        owner = "ours" if recording.by_worker else "other"
        for change in recording.changes:
            yield change.at, f"TRUTH {recording.id} {recording.kind} {owner} {change.status}"
        for file in recording.files:
            yield file.shown_from, f"TRUTH {recording.id} file {file.name or file.media}"
    for meeting in evidence.truth.meetings.values():
        for at, verb in ((meeting.began, "begins"), (meeting.ended, "ends")):
            if at is not None:
                yield at, f"TRUTH session of {meeting.id} {verb}"
