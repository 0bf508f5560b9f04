"""Each file is told once, with its owner, and the completion follows the last of them."""

from collections.abc import Iterator

from tests.oracle.evidence import Evidence, Json, Received
from tests.oracle.recorded_files import recorded_stays
from tests.oracle.start_keys import key_of_recording, starts_by_key
from tests.oracle.truth import RecordedFile, Recording


def check_files(evidence: Evidence) -> Iterator[str]:
    """Yield what is wrong."""
    for recording_id, events in evidence.events().items():
        recording = evidence.truth.recordings.get(recording_id)
        if recording is not None:
            yield from _wrong_files(recording, events)
            yield from _wrong_completions(recording, events)
            yield from _wrong_absentees(recording, events, evidence)


def _wrong_files(recording: Recording, events: list[Received]) -> Iterator[str]:
    for event in events:
        if event.kind not in {"recording.file_ready.v1", "recording.file_url_renewed.v1"}:
            continue
        data = event.data
        file = _file(recording, data)
        if file is None:
            yield f"{recording.id} has no file {data['file_name']}"
            continue
        if recording.id not in (data["download_url"] or "") or event.at < file.shown_from:
            yield f"{data['file_name']} has the URL {data['download_url']}"
        if not 1 <= data["file_index"] <= data["file_count"]:
            yield f"{data['file_name']} is {data['file_index']} of {data['file_count']}"
        yield from _wrong_owner(file, recording, data)


def _file(recording: Recording, data: Json) -> RecordedFile | None:
    for file in recording.files:
        if file.name == data["file_name"] or (not file.name and file.media == data["media_kind"]):
            return file
    return None


def _wrong_owner(file: RecordedFile, recording: Recording, data: Json) -> Iterator[str]:
    expected: dict[str, set[str | None]] = {
        "user_id": {file.user_id},
        "peer_id": {file.peer_id},
        "custom_participant_id": {file.custom_id, None},
        "media_kind": {file.media},
        "layer": {"default" if recording.kind == "track" else None},
    }
    for name, values in expected.items():
        if data[name] not in values:
            yield f"file {data['file_name']} has the {name} {data[name]}"
    participant = data["participant"] or {}
    for name in ("user_id", "peer_id", "custom_participant_id"):
        if participant and participant[name] not in expected[name]:
            yield f"file {data['file_name']} has a participant with the {name} {participant[name]}"


def _wrong_completions(recording: Recording, events: list[Received]) -> Iterator[str]:
    files: list[str] = []
    is_complete = False
    for event in events:
        if event.kind == "recording.file_ready.v1":
            files.append(event.data["file_name"])
            is_complete = False
        if event.kind == "recording.completed.v1":
            is_complete = True
            told = event.data["files"]
            if sorted(told) != sorted(files) or event.data["file_count"] != len(files):
                yield f"{recording.id} is completed with {told}, and told were {files}"
            if recording.changes and event.data["status"] not in {"UPLOADED", "ERRORED"}:
                yield f"{recording.id} is completed as {event.data['status']}"
    if files and not is_complete:
        yield f"no completion of {recording.id} follows its last file"


def _wrong_absentees(
    recording: Recording, events: list[Received], evidence: Evidence
) -> Iterator[str]:
    """Nobody who has a file is told to be without, and nobody asked for is forgotten."""
    completions = [event for event in events if event.kind == "recording.completed.v1"]
    for event in completions:
        absentees = event.data["participants_without_file"]
        if recording.kind == "composite":
            if absentees is not None:
                yield f"the composite {recording.id} names people without file"
            continue
        told = {person["user_id"] for person in absentees or ()}
        files = set(event.data["files"])
        owners = {file.user_id for file in recording.files if file.name in files}
        if told & owners:
            yield f"{recording.id} names {told & owners} without file, who have one"
        asked = _asked(recording, evidence)
        if recording.status == "UPLOADED" and (asked - owners) - told:
            yield f"{recording.id} does not name {(asked - owners) - told} without file"


def _asked(recording: Recording, evidence: Evidence) -> set[str]:
    """Whom the start asked for and, of everybody, who was certainly recorded."""
    starts = starts_by_key(evidence).get(key_of_recording(recording), [])
    if not recording.by_worker or not starts:
        return set()
    if "user_ids" in recording.body:
        return {*recording.body["user_ids"]}
    return {person.user_id for person, _ in recorded_stays(recording)}
