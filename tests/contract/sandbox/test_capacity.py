"""The emulated limit of concurrent recordings."""

import uuid

import pytest

from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.server import Sandbox
from recording_sandbox.model.errors import Refusal
from recording_sandbox.model.recording import StartRequest


def start_request() -> StartRequest:
    return StartRequest(kind="composite", app_id="app", meeting_id=str(uuid.uuid4()))


async def test_a_start_beyond_the_limit_is_refused_until_a_recording_was_stopped() -> None:
    async with Sandbox(SandboxOptions()) as sandbox:
        sandbox.behaviour.change(
            {"max_recordings": 1, "max_recordings_status": 400, "invoked_seconds": 0.0}
        )
        first = sandbox.recordings.start(start_request())
        with pytest.raises(Refusal, match="concurrent recordings"):
            sandbox.recordings.start(start_request())
        sandbox.clock.advance(1.0)
        sandbox.recordings.stop(first)
        sandbox.recordings.start(start_request())
