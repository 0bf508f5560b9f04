"""The file of a composite that its start sent to the customer's own storage. Pure.

The API's answers usually repeat `storage_config`. If they do not, the start still says where the
file is.
"""

from collections.abc import Mapping

import msgspec

from recording_schemas import Status
from worker.domain.file_names import is_template, media_of
from worker.domain.recording import Recording
from worker.domain.snapshot import FoundFile, RecordingSnapshot, Storage


def requested_storage(config: object) -> Storage | None:
    """The customer's storage in the `storage_config` of a start, without credentials."""
    if not isinstance(config, Mapping):
        return None
    place = {name: _text(config.get(name)) for name in ("bucket", "path")}
    return Storage(type=str(config.get("type")), **place)


def is_only_storage(body: Mapping[str, object]) -> bool:
    """Whether the body of a start forbids the API to keep a file, so that it gets no URL."""
    bucket = body.get("realtimekit_bucket_config")
    return isinstance(bucket, Mapping) and bucket.get("enabled") is False


def with_requested_storage(
    snapshot: RecordingSnapshot, known: Recording | None, *, is_last_look: bool
) -> RecordingSnapshot:
    """The snapshot with the file that is in the storage that the start named.

    While the file may still get a URL, it counts only at the last look.
    """
    start = known.start if known else None
    if known is None or start is None or start.storage is None or known.kind != "composite":
        return snapshot
    if snapshot.status is not Status.UPLOADED or snapshot.files or snapshot.storage:
        return snapshot
    name = snapshot.output_file_name or known.output_file_name
    if not name or is_template(name) or not (start.only_in_storage or is_last_look):
        return snapshot
    file = FoundFile(name=name, media=media_of(name))
    return msgspec.structs.replace(snapshot, storage=start.storage, files=(file,))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
