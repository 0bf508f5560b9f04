"""Which observations count, and which status a recording has after one. Pure.

Statuses never go back, except between RECORDING and PAUSED. Nothing follows UPLOADED or ERRORED,
with one exception: if the worker itself ended the recording, the API's later report follows.
"""

from recording_schemas import Status
from worker.domain.recording import LIVE, RANK, STALLED, Observation, Recording


def is_ignored(recording: Recording, observation: Observation) -> bool:
    """Whether the observation changes nothing: a late end by the worker itself, or a webhook that
    is not accepted. A webhook about a live recording that reports an undocumented status counts."""
    if observation.timeout_error is not None:
        return not _is_fresh(recording, observation)  # the recording has changed since
    if observation.observed_by != "webhook" or _is_accepted(recording, observation):
        return False
    return observation.snapshot.unknown_status is None or recording.status not in LIVE


def webhook_contradicts(recording: Recording, webhook: Observation) -> bool:
    """Whether a webhook contradicts the state, so that only a request to the API can decide.

    A webhook about an earlier status is merely late.
    """
    status = webhook.snapshot.status
    if webhook.snapshot.unknown_status is not None or status is recording.status:
        return False
    if _is_accepted(recording, webhook):
        return False
    return recording.timed_out or RANK[status] >= RANK[recording.status]


def _is_accepted(recording: Recording, webhook: Observation) -> bool:
    """Whether a webhook may change the state.

    A webhook has no time. It may be late or a repeat, so its status was valid at some moment only.
    It can move a recording to a higher rank, but not between RECORDING and PAUSED. If the worker
    ended the recording, only a final status is accepted, because it stays true.
    """
    status = webhook.snapshot.status
    if recording.kind == "composite" and webhook.snapshot.error_message:
        return False  # the message may repeat storage secrets; only an API answer can redact them
    return status not in LIVE if recording.timed_out else RANK[status] > RANK[recording.status]


def _is_fresh(recording: Recording, observation: Observation) -> bool:
    """Whether the request was sent after the last change. An older answer may describe the time
    before the change."""
    return recording.changed_at is None or observation.asked_at >= recording.changed_at


def status_after(recording: Recording | None, observation: Observation) -> Status:
    """The status of the recording after an observation that is not ignored."""
    status = observation.snapshot.status
    if recording is None or recording.status is status:
        return status
    if observation.missing or observation.snapshot.unknown_status is not None:
        return recording.status
    if recording.timed_out:
        return status if _refutes_timeout(recording, observation) else recording.status
    if RANK[status] != RANK[recording.status]:
        return max(status, recording.status, key=RANK.__getitem__)
    if status in LIVE and _is_fresh(recording, observation):
        return status
    return recording.status


def _refutes_timeout(recording: Recording, observation: Observation) -> bool:
    """Whether the API shows that the worker ended the recording too early."""
    status = observation.snapshot.status
    if status not in LIVE:
        return True
    if not _is_fresh(recording, observation):
        return False
    stalled = recording.error is not None and recording.error.code == STALLED
    return not stalled or RANK[status] > RANK[recording.timed_out_from or Status.INVOKED]
