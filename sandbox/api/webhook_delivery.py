"""Signed notices to whoever subscribed, delivered like the real ones: unordered and repeatedly."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import aiohttp
import msgspec

from sandbox.api import webhook_payloads
from sandbox.api.responses import Responses
from sandbox.api.webhook_operations import Subscription, WebhookOperations
from sandbox.api.webhook_signing import Signer
from sandbox.model.behaviour import Behaviour
from sandbox.model.clock import Clock
from sandbox.model.faults import Faults
from sandbox.model.log_entries import WebhookEntry
from sandbox.model.meeting import MeetingEvent
from sandbox.model.recording import Recording
from sandbox.model.request_log import RequestLog

_LANES = 16  # Deliveries at a time; those about one recording share a lane and keep their order.


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell one subscriber; what the body says is settled when it happens."""

    webhook: Subscription
    event: str
    body: bytes
    recording_id: str | None = None
    status: str | None = None
    uuid: str = msgspec.field(default_factory=lambda: str(uuid4()))
    forged: bool = False


class Webhooks:
    """Turns what happens into notices, and delivers them while `run` runs."""

    def __init__(
        self,
        clock: Clock,
        behaviour: Behaviour,
        faults: Faults,
        request_log: RequestLog,
        subscriptions: WebhookOperations,
        worded: Responses,
    ) -> None:
        self.signer = Signer()
        self._clock = clock
        self._behaviour = behaviour
        self._faults = faults
        self._request_log = request_log
        self._subscriptions = subscriptions
        self._worded = worded
        self._lanes: list[asyncio.Queue[Notice]] = [asyncio.Queue() for _ in range(_LANES)]
        self._held: Notice | None = None
        self._later: set[asyncio.Task[None]] = set()
        self._forger = Signer()

    def on_recording(self, recording: Recording) -> None:
        """Its status has changed."""
        if recording.status not in self._behaviour.webhook_statuses:
            return
        app_id = recording.request.app_id
        subscribed = self._subscriptions.subscribed(app_id, "recording.statusUpdate")
        body = self._body(recording) if subscribed else b""
        for webhook in subscribed:
            notice = Notice(
                webhook=webhook,
                event="recording.statusUpdate",
                body=body,
                recording_id=recording.id,
                status=recording.status,
            )
            self._hand_over(notice, meeting_id=recording.request.meeting_id)

    def on_meeting(self, event: MeetingEvent) -> None:
        """Somebody came or went, a session began or ended."""
        for webhook in self._subscriptions.subscribed(None, event.name):
            body = msgspec.json.encode(webhook_payloads.meeting(event, webhook.app_id))
            notice = Notice(webhook=webhook, event=event.name, body=body)
            self._hand_over(notice, meeting_id=event.meeting.id)

    async def run(self) -> None:
        """Deliver until cancelled."""
        timeout = aiohttp.ClientTimeout(total=self._behaviour.real_webhook_timeout_seconds)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for number, lane in enumerate(self._lanes):
                        group.create_task(self._drain(lane, client), name=f"webhooks-{number}")
            finally:
                for task in self._later:
                    task.cancel()
                await asyncio.gather(*self._later, return_exceptions=True)

    def _hand_over(self, notice: Notice, *, meeting_id: str) -> None:
        """Meet the faults that strike before anything is sent, then queue."""

        def struck(kind: str) -> float | None:
            fault = self._faults.trigger(
                {kind},
                operation=notice.event,
                meeting_id=meeting_id,
                recording_id=notice.recording_id,
            )
            return None if fault is None else (fault.seconds or 0.0)

        if struck("webhook_drop") is not None:
            self._note(notice, attempt=0, answer=None, fault="webhook_drop")
            return
        if struck("webhook_reorder") is not None and self._held is None:
            self._held = notice
            return
        if struck("webhook_forge") is not None:
            self._queue(msgspec.structs.replace(notice, uuid=str(uuid4()), forged=True))
        delay = struck("webhook_delay")
        if delay is None:
            self._queue(notice)
        else:
            self._do_later(delay or 1.0, lambda: self._queue(notice))
        if struck("webhook_duplicate") is not None:
            self._queue(notice)
        if self._held is not None:
            held, self._held = self._held, None
            self._queue(held)

    def _body(self, recording: Recording) -> bytes:
        if self._behaviour.webhook_generation == "dyte":
            return msgspec.json.encode(webhook_payloads.dyte(recording))
        with_urls = recording.request.kind == "composite" or self._behaviour.webhook_track_urls
        worded = self._worded.recording(recording)
        payload = webhook_payloads.cloudflare(recording, worded, with_urls=with_urls)
        return msgspec.json.encode(payload)

    def _queue(self, notice: Notice) -> None:
        lane = hash(notice.recording_id or notice.uuid) % _LANES
        self._lanes[lane].put_nowait(notice)

    async def _drain(self, lane: asyncio.Queue[Notice], client: aiohttp.ClientSession) -> None:
        while True:
            await self._attempt(await lane.get(), client, attempt=1)

    async def _attempt(self, notice: Notice, client: aiohttp.ClientSession, attempt: int) -> None:
        answer = await self._send(notice, client)
        fault = "webhook_forge" if notice.forged else None
        self._note(notice, attempt=attempt, answer=answer, fault=fault)
        refused_for_good = answer is not None and answer < 500
        if refused_for_good or notice.forged or attempt >= self._behaviour.webhook_attempts:
            return
        again = notice
        if not self._behaviour.webhook_retry_keeps_uuid:
            again = msgspec.structs.replace(notice, uuid=str(uuid4()))
        pause = self._behaviour.real_webhook_retry_seconds * 2 ** (attempt - 1)

        async def retry() -> None:
            await asyncio.sleep(pause)
            await self._attempt(again, client, attempt + 1)

        self._keep(asyncio.create_task(retry(), name=f"webhook-retry-{again.uuid}"))

    async def _send(self, notice: Notice, client: aiohttp.ClientSession) -> int | None:
        signer = self._forger if notice.forged else self.signer
        headers = {
            "Content-Type": "application/json",
            "rtk-signature": signer.signature(notice.body),
            "rtk-uuid": notice.uuid,
            "rtk-webhook-id": notice.webhook.id,
        }
        try:
            async with client.post(
                notice.webhook.url, data=notice.body, headers=headers, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def _do_later(self, seconds: float, action: Callable[[], None]) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            action()

        self._keep(asyncio.create_task(later(), name="webhook-delay"))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _note(self, notice: Notice, *, attempt: int, answer: int | None, fault: str | None) -> None:
        self._request_log.add(
            WebhookEntry(
                at=self._clock.now(),
                webhook_id=notice.webhook.id,
                event=notice.event,
                uuid=notice.uuid,
                attempt=attempt,
                response_status=answer,
                recording_id=notice.recording_id,
                status=notice.status,
                fault=fault,
            )
        )
