"""Sends signed webhooks as the real API does: unordered, and repeated until they are received."""

import asyncio
from uuid import uuid4

import aiohttp
import msgspec

from recording_sandbox.api.webhook_signing import Signer
from recording_sandbox.api.webhook_subscriptions import Subscription
from recording_sandbox.model.behaviour import Behaviour
from recording_sandbox.model.clock import Clock
from recording_sandbox.model.log_entries import WebhookEntry
from recording_sandbox.model.request_log import RequestLog

_LANES = 16  # Concurrent deliveries. Those of one recording share a lane and keep their order.


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one subscription. A forged one is signed with a key that is not published."""

    subscription: Subscription
    event: str
    body: bytes
    recording_id: str | None = None
    status: str | None = None
    uuid: str = msgspec.field(default_factory=lambda: str(uuid4()))
    forged: bool = False


class WebhookSender:
    """Posts deliveries while `run` runs. Each attempt is an entry of the request log."""

    def __init__(self, clock: Clock, behaviour: Behaviour, request_log: RequestLog) -> None:
        self.signer = Signer()
        self._forger = Signer()
        self._clock = clock
        self._behaviour = behaviour
        self._request_log = request_log
        self._lanes: list[asyncio.Queue[Delivery]] = [asyncio.Queue() for _ in range(_LANES)]
        self._delayed: set[asyncio.Task[None]] = set()

    def send(self, delivery: Delivery) -> None:
        """Queue the delivery; returns at once."""
        lane = hash(delivery.recording_id or delivery.uuid) % _LANES
        self._lanes[lane].put_nowait(delivery)

    def send_later(self, delivery: Delivery, seconds: float) -> None:
        """Queue the delivery after this many real seconds."""

        async def wait_and_send() -> None:
            await asyncio.sleep(seconds)
            self.send(delivery)

        self._keep(asyncio.create_task(wait_and_send(), name="webhook-delay"))

    async def run(self) -> None:
        """Send until cancelled."""
        timeout = aiohttp.ClientTimeout(total=self._behaviour.real_webhook_timeout_seconds)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for number, lane in enumerate(self._lanes):
                        group.create_task(self._drain(lane, client), name=f"webhooks-{number}")
            finally:
                for task in self._delayed:
                    task.cancel()
                await asyncio.gather(*self._delayed, return_exceptions=True)

    def log(
        self, delivery: Delivery, *, attempt: int, response_status: int | None, fault: str | None
    ) -> None:
        """Add an attempt to the request log. Attempt 0 was never sent."""
        self._request_log.add(
            WebhookEntry(
                at=self._clock.now(),
                webhook_id=delivery.subscription.id,
                event=delivery.event,
                uuid=delivery.uuid,
                attempt=attempt,
                response_status=response_status,
                recording_id=delivery.recording_id,
                status=delivery.status,
                fault=fault,
            )
        )

    async def _drain(self, lane: asyncio.Queue[Delivery], client: aiohttp.ClientSession) -> None:
        while True:
            await self._attempt(await lane.get(), client, attempt=1)

    async def _attempt(
        self, delivery: Delivery, client: aiohttp.ClientSession, attempt: int
    ) -> None:
        status = await self._post(delivery, client)
        fault = "webhook_forge" if delivery.forged else None
        self.log(delivery, attempt=attempt, response_status=status, fault=fault)
        is_final = status is not None and status < 500
        if is_final or delivery.forged or attempt >= self._behaviour.webhook_attempts:
            return
        if not self._behaviour.webhook_retry_keeps_uuid:
            delivery = msgspec.structs.replace(delivery, uuid=str(uuid4()))
        pause = self._behaviour.real_webhook_retry_seconds * 2 ** (attempt - 1)

        async def retry() -> None:
            await asyncio.sleep(pause)
            await self._attempt(delivery, client, attempt + 1)

        self._keep(asyncio.create_task(retry(), name=f"webhook-retry-{delivery.uuid}"))

    async def _post(self, delivery: Delivery, client: aiohttp.ClientSession) -> int | None:
        """The receiver's status, or None if there was no response."""
        signer = self._forger if delivery.forged else self.signer
        headers = {
            "Content-Type": "application/json",
            "rtk-signature": signer.signature(delivery.body),
            "rtk-uuid": delivery.uuid,
            "rtk-webhook-id": delivery.subscription.id,
        }
        try:
            async with client.post(
                delivery.subscription.url,
                data=delivery.body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._delayed.add(task)
        task.add_done_callback(self._delayed.discard)
