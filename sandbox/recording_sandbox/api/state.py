"""Everything a sandbox consists of, wired by plain constructor calls."""

import secrets

import msgspec

from recording_sandbox.api.addresses import Addresses
from recording_sandbox.api.auth import Tokens
from recording_sandbox.api.options import SandboxOptions
from recording_sandbox.api.rate_limiter import RateLimiter
from recording_sandbox.api.recording_responses import RecordingResponses
from recording_sandbox.api.webhook_sender import WebhookSender
from recording_sandbox.api.webhook_subscriptions import WebhookSubscriptions
from recording_sandbox.api.webhooks import Webhooks
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.faults import Faults
from recording_sandbox.model.files import Presigner
from recording_sandbox.model.meetings import Meetings
from recording_sandbox.model.recordings import Recordings
from recording_sandbox.model.request_log import RequestLog


class SandboxState:
    """The state shared by the API, the control plane and the file downloads, in one event loop."""

    def __init__(self, options: SandboxOptions, clock: Clock | None = None) -> None:
        self.addresses = Addresses()
        self.behaviour = msgspec.structs.replace(options.behaviour)
        self.clock = clock or Clock(speed=options.speed)
        self.faults = Faults(seed=options.seed)
        self.request_log = RequestLog(
            limit=options.request_log_limit, path=options.request_log_path
        )
        self.tokens = Tokens(self.behaviour, options.tokens)
        self.rate_limiter = RateLimiter(self.behaviour)
        self.meetings = Meetings(self.clock, self.behaviour)
        self.recordings = Recordings(
            self.clock,
            self.meetings,
            self.behaviour,
            self.faults,
            self.request_log,
            seed=options.seed,
        )
        self.presigner = Presigner(
            secrets.token_bytes(32),
            lambda: self.behaviour.download_root_url or self.addresses.root_url,
        )
        self.recording_responses = RecordingResponses(self.clock, self.behaviour, self.presigner)
        self.subscriptions = WebhookSubscriptions()
        self.webhook_sender = WebhookSender(self.clock, self.behaviour, self.request_log)
        self.webhooks = Webhooks(
            self.behaviour,
            self.faults,
            self.subscriptions,
            self.recording_responses,
            self.webhook_sender,
        )
        self.recordings.listeners.append(self.webhooks.on_recording)
        self.meetings.listeners.append(self.webhooks.on_meeting)
