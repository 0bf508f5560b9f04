"""From the outbox to the broker: in order, with the same ids, and without losses."""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit

import aio_pika
import msgspec
import pytest
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue
from prometheus_client import CollectorRegistry

from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.waiting import Eventually
from recording_schemas import Status
from tests.contract.store.test_plans import captured
from tests.fault.tcp_proxy import TcpProxy
from tests.store_requests import claim_request, success_of
from worker.broker.connection import BrokerConnection
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology
from worker.domain.recording import Observation
from worker.domain.snapshot import RecordingSnapshot
from worker.observability.metrics import Metrics
from worker.publishing.event_publisher import EventPublisher
from worker.publishing.relay import MAX_PAGES, PAGE_SIZE, OutboxRelay
from worker.store.admin.set_aside import publish_again
from worker.store.outbox import Reply
from worker.store.outbox_marks import PageMarks
from worker.store.store import Store

LIFE = (Status.INVOKED, Status.RECORDING, Status.UPLOADING, Status.ERRORED)
NOW = datetime(2026, 11, 1, 10, tzinfo=UTC)


class HasPort(Protocol):
    """A link to the broker on a separate port."""

    port: int


class Bench:
    """A relay with its real parts, and a queue that receives all its messages."""

    def __init__(
        self, store: Store, topology: Topology, url: str, raw: AbstractConnection, file: str
    ) -> None:
        self.store = store
        self.file = file
        self.topology = topology
        self.link = BrokerConnection(lambda: url, "publish")
        self.publisher = Publisher(self.link, topology, timeout=5.0)
        self.reply_link = BrokerConnection(lambda: url, "reply")
        self.reply_publisher = Publisher(self.reply_link, None, timeout=5.0)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, version="test")
        self.events = self.event_publisher(self.publisher)
        self.relay = self.another_relay()
        self.reply_relay = OutboxRelay(
            store,
            self.event_publisher(self.reply_publisher),
            now=time.time,
            replies=True,
            idle_interval_seconds=0.05,
        )
        self.raw = raw
        self.received: list[AbstractIncomingMessage] = []
        self._keys: dict[str, dict[str, None]] = defaultdict(dict)

    def event_publisher(self, publisher: Publisher) -> EventPublisher:
        return EventPublisher(publisher, self.topology, metrics=self.metrics, now=time.time)

    def another_relay(
        self,
        store: Store | None = None,
        idle_interval_seconds: float = 0.05,
        now: Callable[[], float] = time.time,
        page_size: int = PAGE_SIZE,
    ) -> OutboxRelay:
        """As after a restart: the relay has no state besides the store's."""
        return OutboxRelay(
            store or self.store,
            self.events,
            now=now,
            idle_interval_seconds=idle_interval_seconds,
            page_size=page_size,
        )

    def relay_with_clock(self, now: Callable[[], float]) -> OutboxRelay:
        """Another replica's relay, without state besides the store's. Its clock is `now`."""
        events = EventPublisher(self.publisher, self.topology, metrics=self.metrics, now=now)
        return OutboxRelay(self.store, events, now=now)

    async def listen(self) -> None:
        channel = await self.raw.channel()
        queue = await channel.declare_queue(exclusive=True)
        for purpose in ("status", "files", "results"):
            await queue.bind(f"{self.topology.prefix}.{purpose}", "#")

        async def receive(message: AbstractIncomingMessage) -> None:
            self.received.append(message)
            self._keys[_subject(message)].setdefault(str(message.routing_key))

        await queue.consume(receive, no_ack=True)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(self.link.run(self.publisher.session)),
                group.create_task(self.reply_link.run(self.reply_publisher.session)),
            ]
            try:
                async with asyncio.timeout(20):
                    await self.publisher.wait_ready()
                    await self.reply_publisher.wait_ready()
                yield
            finally:
                for task in running:
                    task.cancel()

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        async with self.connected():
            await self.listen()
            running = [
                asyncio.create_task(relay.run(lambda: True))
                for relay in (self.relay, self.reply_relay)
            ]
            try:
                yield
            finally:
                assert not any(task.done() for task in running)
                for task in running:
                    task.cancel()
                await asyncio.wait(running)

    async def commit_statuses(
        self, recording_ids: Sequence[str], statuses: Sequence[Status]
    ) -> None:
        for status in statuses:
            await self.store.apply([_seen(recording_id, status) for recording_id in recording_ids])

    async def finish(
        self, command_id: str, reply_to: str | None, recording_ids: tuple[str, ...] = ()
    ) -> None:
        await self.store.claim(claim_request(command_id, "sync_recording", now=1.0))
        await self.store.finish(
            success_of(
                command_id,
                at=NOW,
                command_type="sync_recording",
                recording_ids=recording_ids,
                reply=Reply(reply_to=reply_to),
                now=1.0,
            )
        )

    async def replay(self, recording_id: str) -> None:
        """Publish the recording's events again, for a command."""
        await self.store.claim(claim_request("replay", "replay_recording", now=1.0))
        request = success_of("replay", at=NOW, command_type="replay_recording", now=1.0)
        await self.store.finish(msgspec.structs.replace(request, replay_ids=(recording_id,)))

    async def full_queue(self, key: str) -> AbstractQueue:
        """A subscriber's queue that refuses messages beyond its length limit."""
        channel = await self.raw.channel()
        name = f"{self.topology.prefix}.status"
        exchange = await channel.declare_exchange(name, "topic", durable=True)
        full = await channel.declare_queue(
            exclusive=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
        await full.bind(exchange, key)
        return full

    async def empty(self, full: AbstractQueue, key: str) -> None:
        await full.unbind(f"{self.topology.prefix}.status", key)
        await full.purge()

    def deferred(self) -> float:
        return sum(
            sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "recording_worker_events_deferred_total"
        )

    async def unsent_ids(self) -> list[str]:
        """The ids of unsent events, including those that the broker did not accept."""
        rows = await self.rows("sent_at IS NULL AND retry_at >= 0")
        return [str(row["event_id"]) for row in rows]

    async def set_aside_ids(self) -> list[str]:
        return [str(row["event_id"]) for row in await self.rows("sent_at IS NULL AND retry_at < 0")]

    async def rows(self, condition: str) -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            with closing(sqlite3.connect(self.file)) as connection, connection:
                connection.row_factory = sqlite3.Row
                found = connection.execute(f"SELECT * FROM outbox WHERE {condition}")  # noqa: S608
                return [dict(row) for row in found]

        return await asyncio.to_thread(read)

    @property
    def subjects(self) -> set[str]:
        """The subjects of the events received."""
        return set(self._keys)

    def keys_by_recording(self) -> dict[str, list[str]]:
        """Routing keys of the events received about each recording, without repeats."""
        return {recording_id: list(found) for recording_id, found in self._keys.items()}


def _seen(recording_id: str, status: Status) -> Observation:
    snapshot = RecordingSnapshot(
        recording_id=recording_id, status=status, kind="track", meeting_id="m"
    )
    files = () if status is Status.ERRORED else None  # the participants were read
    return Observation(
        snapshot=snapshot, observed_by="sweep", asked_at=NOW, observed_at=NOW, files=files
    )


def _subject(message: AbstractIncomingMessage) -> str:
    return str(msgspec.json.decode(message.body)["subject"])


@pytest.fixture
async def link(amqp_url: str) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(urlsplit(amqp_url).port or 5672) as proxy:
        yield proxy


@pytest.fixture
async def bench(
    amqp_url: str, names_prefix: str, sqlite_url: str, link: TcpProxy
) -> AsyncIterator[Bench]:
    async with open_bench(amqp_url, names_prefix, sqlite_url, link) as bench:
        yield bench


@pytest.fixture
async def private_bench(
    private_rabbitmq: RabbitMQNode, names_prefix: str, sqlite_url: str
) -> AsyncIterator[Bench]:
    url = private_rabbitmq.amqp_url
    async with (
        TcpProxy(urlsplit(url).port or 5672) as link,
        open_bench(url, names_prefix, sqlite_url, link) as bench,
    ):
        yield bench


@asynccontextmanager
async def open_bench(
    amqp_url: str, prefix: str, sqlite_url: str, link: HasPort
) -> AsyncIterator[Bench]:
    topology = Topology(prefix=prefix, retry_delays=(1.0,))
    store = await Store.open(sqlite_url, source="test")
    url = amqp_url.replace(f":{urlsplit(amqp_url).port}", f":{link.port}")
    async with await aio_pika.connect(amqp_url) as raw:
        yield Bench(store, topology, url, raw, sqlite_url.removeprefix("sqlite:///"))
        async with raw.channel() as channel:
            for queue in topology.queues:
                await channel.queue_delete(queue.name)
            for exchange in topology.exchanges:
                await channel.exchange_delete(exchange)
    await store.close()


KEYS = [f"track.{status.lower()}" for status in LIFE] + ["track.completed"]


async def test_the_events_of_a_recording_arrive_once_and_in_order(
    bench: Bench, eventually: Eventually
) -> None:
    ids = [f"r{number}" for number in range(50)]
    await bench.commit_statuses(ids, LIFE)
    async with bench.relaying():
        await eventually(lambda: len(bench.received) == 50 * len(KEYS))
        await eventually(bench_is_empty(bench))
    assert bench.keys_by_recording() == dict.fromkeys(ids, KEYS)
    assert len(bench.received) == 50 * len(KEYS)


async def test_an_event_committed_while_the_relay_runs_is_published_on_wake_up(
    bench: Bench, eventually: Eventually
) -> None:
    async with bench.relaying():
        for number in range(5):
            await bench.commit_statuses([f"r{number}"], LIFE)
            bench.relay.wake()
        await eventually(lambda: len(bench.received) == 5 * len(KEYS))


async def test_a_commit_of_another_replica_wakes_the_leader_s_relay(
    bench: Bench, postgresql_url: str, eventually: Eventually
) -> None:
    other, leader = [await Store.open(postgresql_url, source="test") for _ in range(2)]
    relay = bench.another_relay(leader, idle_interval_seconds=60.0)
    listening = asyncio.Event()
    leader.subscribe("outbox", listening.set)
    leader.subscribe("outbox", relay.wake)
    async with bench.connected():
        await bench.listen()
        running = [
            asyncio.create_task(leader.listen()),
            asyncio.create_task(relay.run(lambda: True)),
        ]
        await listening.wait()
        for number in range(3):
            await other.apply([_seen(f"r{number}", Status.INVOKED)])
            await eventually(partial(more_than, bench, number))
        for task in running:
            task.cancel()
        await asyncio.wait(running)
    for store in (other, leader):
        await store.close()


async def test_a_cut_connection_loses_nothing_and_changes_neither_order_nor_ids(
    bench: Bench, link: TcpProxy, eventually: Eventually
) -> None:
    ids = [f"r{number}" for number in range(300)]
    async with bench.relaying():
        for first in (0, 100, 200):
            before = len(bench.received)
            await bench.commit_statuses(ids[first : first + 100], LIFE)
            bench.relay.wake()
            await eventually(partial(more_than, bench, before))
            link.cut()
        expected = dict.fromkeys(ids, KEYS)
        await eventually(lambda: bench.keys_by_recording() == expected, seconds=90)
    assert len({message.message_id for message in bench.received}) == len(ids) * len(KEYS)


async def test_a_silent_broker_loses_nothing(
    bench: Bench, link: TcpProxy, eventually: Eventually
) -> None:
    ids = [f"r{number}" for number in range(20)]
    async with bench.relaying():
        link.stall()
        await bench.commit_statuses(ids, LIFE)
        bench.relay.wake()
        await eventually(lambda: bench.link.unavailable_reason is not None)
        assert len(await bench.unsent_ids()) == 20 * len(KEYS)
        await link.restore()
        expected = dict.fromkeys(ids, KEYS)
        await eventually(lambda: bench.keys_by_recording() == expected, seconds=30)


async def test_an_event_published_again_after_a_crash_has_the_same_id(
    bench: Bench, eventually: Eventually
) -> None:
    await bench.commit_statuses(["r"], LIFE)
    waiting = await bench.store.unsent(100)
    async with bench.connected():
        await bench.listen()
        await bench.events.publish(waiting, lambda: True)  # and dies before it marks them as sent
        bench.relay = bench.another_relay(now=NOW.timestamp)
        await bench.relay.flush()
        await eventually(lambda: len(bench.received) == 2 * len(KEYS))
    by_key = defaultdict(set)
    for message in bench.received:
        by_key[message.routing_key].add(message.message_id)
    assert {len(ids) for ids in by_key.values()} == {1}


async def test_a_reply_without_a_queue_does_not_block_later_events(
    bench: Bench, eventually: Eventually
) -> None:
    await bench.finish("c1", reply_to="nobody")
    await bench.finish("c1", reply_to="nobody-either")
    await bench.finish("c2", reply_to=None)
    async with bench.relaying():
        await eventually(lambda: bench.subjects == {"c1", "c2"})
        await eventually(bench_is_empty(bench))


def more_than(bench: Bench, count: int) -> bool:
    return len(bench.received) > count


def bench_is_empty(bench: Bench) -> Any:
    async def empty() -> bool:
        return await bench.unsent_ids() == []

    return empty


async def test_a_full_reply_queue_blocks_nothing(bench: Bench, eventually: Eventually) -> None:
    channel = await bench.raw.channel()
    full = await channel.declare_queue(
        exclusive=True, arguments={"x-max-length": 0, "x-overflow": "reject-publish"}
    )
    await bench.finish("c1", reply_to=full.name)
    await bench.finish("c2", reply_to=None)
    async with bench.relaying():
        await eventually(bench_is_empty(bench))
        await eventually(lambda: bench.subjects == {"c1", "c2"})


async def test_a_full_subscriber_queue_blocks_only_its_own_subjects(
    bench: Bench, eventually: Eventually
) -> None:
    """More than a batch of status events is blocked. Outcomes and other recordings continue."""
    full = await bench.full_queue("track.invoked")
    await bench.commit_statuses(
        [f"stuck-{number}" for number in range(PAGE_SIZE + 20)], [Status.INVOKED]
    )
    await bench.finish("c1", reply_to=None)
    async with bench.relaying():
        await eventually(lambda: "c1" in bench.subjects)
        assert len(await bench.unsent_ids()) >= PAGE_SIZE
        await bench.empty(full, "track.invoked")
        await eventually(bench_is_empty(bench), seconds=40)


async def test_refused_events_are_not_repeated_to_the_queues_that_took_them(
    bench: Bench, eventually: Eventually
) -> None:
    """More events are blocked than one pass publishes. One is retried, and all follow in order."""
    bench.relay = bench.another_relay(page_size=50)
    full = await bench.full_queue("track.invoked")
    stuck = [f"stuck-{number}" for number in range(MAX_PAGES * 50 + 1)]
    await bench.commit_statuses(stuck, [Status.INVOKED])
    async with bench.relaying():
        await eventually(lambda: len(bench.received) >= len(stuck), seconds=60)
        before = len(bench.received)
        await bench.commit_statuses(stuck[:5], [Status.RECORDING])
        await bench.commit_statuses(["later"], [Status.RECORDING])
        await bench.finish("c1", reply_to=None)
        bench.relay.wake()
        await eventually(lambda: "c1" in bench.subjects)
        await eventually(lambda: "track.recording" in bench.keys_by_recording().get("later", []))
        refusals = bench.deferred()
        await eventually(lambda: bench.deferred() > refusals)
        assert len(bench.received) - before < 20
        await bench.empty(full, "track.invoked")
        await eventually(bench_is_empty(bench), seconds=60)
    assert bench.keys_by_recording()[stuck[1]] == ["track.invoked", "track.recording"]


async def test_refused_events_go_out_after_another_replica_has_led(bench: Bench) -> None:
    """The first replica remembers that `early` is retried. Under the second one, `late` is
    retried."""
    full = await bench.full_queue("track.invoked")
    clock = [time.time()]
    first, second = (bench.relay_with_clock(lambda: clock[0]) for _ in range(2))

    async def publish(relay: OutboxRelay, later_by: float) -> None:
        clock[0] += later_by
        await relay.publish_pending()

    async with bench.connected():
        await bench.commit_statuses(["fills", "early"], [Status.INVOKED])
        await publish(first, 0.0)
        await bench.commit_statuses(["late"], [Status.INVOKED])
        await publish(second, 0.0)
        await publish(second, 2.0)
        await publish(first, 3.0)
        assert len(await bench.unsent_ids()) == 2
        await bench.empty(full, "track.invoked")
        await publish(first, 40.0)
        await publish(first, 2.0)
    assert await bench.unsent_ids() == []


async def test_refused_events_go_out_although_a_replay_moved_the_one_that_is_retried(
    bench: Bench,
) -> None:
    """`moved` is retried, and `late` waits for it."""
    full = await bench.full_queue("track.invoked")
    clock = [time.time()]
    relay = bench.relay_with_clock(lambda: clock[0])
    async with bench.connected():
        await bench.commit_statuses(["fills", "moved", "late"], [Status.INVOKED])
        await relay.publish_pending()
        await bench.replay("moved")
        await relay.publish_pending()
        assert len(await bench.unsent_ids()) == 2
        await bench.empty(full, "track.invoked")
        for _ in range(3):
            clock[0] += 10.0
            await relay.publish_pending()
    assert await bench.unsent_ids() == []


async def test_a_new_leader_publishes_refused_events_although_it_does_not_know_which_one_is_retried(
    bench: Bench,
) -> None:
    full = await bench.full_queue("track.invoked")
    async with bench.connected():
        await bench.commit_statuses(["fills", "retried", "late"], [Status.INVOKED])
        await bench.another_relay().publish_pending()
        await bench.replay("retried")
        await bench.empty(full, "track.invoked")
        clock = [time.time()]
        new = bench.relay_with_clock(lambda: clock[0])
        for _ in range(2):
            clock[0] += 2.0
            await new.publish_pending()
    assert await bench.unsent_ids() == []


async def test_a_replica_that_no_longer_leads_defers_no_event(
    bench: Bench, eventually: Eventually
) -> None:
    """The new leader has decided otherwise by then."""
    await bench.full_queue("track.invoked")
    asked_since = 0

    def leads() -> bool:
        nonlocal asked_since
        asked_since += bench.deferred() > 0
        return not asked_since

    async with bench.connected():
        await bench.commit_statuses(["fills", "refused"], [Status.INVOKED])
        running = asyncio.create_task(bench.relay.run(leads))
        await eventually(lambda: asked_since > 5)
        running.cancel()
        await asyncio.wait([running])
    assert len(await bench.rows("sent_at IS NOT NULL")) == 1
    assert len(await bench.rows("sent_at IS NULL AND retry_at = 0")) == 1


FOREIGN_ADDRESS = bytes.fromhex(
    "616d712e7261626269746d712e7265706c792d746f2e67316832414139795a584273655541344f5459304d44517a4d"
    "77414147595141414141415939585841773d3d2e336246745041585963347a4e6f43596f434d6d6270673d3d"
).decode()
"""The direct reply-to address of a channel on a node of another cluster."""


@pytest.mark.parametrize("address", [FOREIGN_ADDRESS, "amq.rabbitmq.reply-to.g2dkAA==.x"])
async def test_a_reply_that_costs_the_connection_is_set_aside_and_keeps_no_other(
    bench: Bench, address: str, eventually: Eventually
) -> None:
    channel = await bench.raw.channel()
    reply_queue = await channel.declare_queue(exclusive=True)
    for number in range(5):
        await bench.finish(f"bad-{number}", reply_to=address)
        await bench.finish(f"good-{number}", reply_to=reply_queue.name)
    async with bench.relaying():
        await eventually(lambda: len(bench.subjects) == 10)
        await eventually(bench_is_empty(bench), seconds=60)
        replies = [await reply_queue.get(no_ack=True) for _ in range(5)]
        await bench.finish("afterwards", reply_to=reply_queue.name)
        await eventually(bench_is_empty(bench))
    assert {_subject(reply) for reply in replies} == {f"good-{number}" for number in range(5)}
    rows = await bench.rows("retry_at < 0")
    assert sorted(row["subject"] for row in rows) == [f"bad-{number}" for number in range(5)]
    assert {row["exchange"] for row in rows} == {"reply"}
    assert all(row["last_error"] for row in rows)
    assert bench.link.unavailable_reason is None
    counted = bench.registry.get_sample_value(
        "recording_worker_events_set_aside_total", {"reason": "channel_lost"}
    )
    assert counted == 5


async def test_many_replies_that_cost_the_connection_do_not_keep_a_later_reply(
    bench: Bench, eventually: Eventually
) -> None:
    channel = await bench.raw.channel()
    reply_queue = await channel.declare_queue(exclusive=True)
    for number in range(80):
        await bench.finish(f"bad-{number}", reply_to=f"amq.rabbitmq.reply-to.g2dkAA==.x{number}")
    async with bench.relaying():
        await eventually(lambda: len(bench.received) == 80)
        await bench.finish("good", reply_to=reply_queue.name)
        bench.reply_relay.wake()

        async def has_reply() -> bool:
            return await reply_queue.get(no_ack=True, fail=False) is not None

        await eventually(has_reply, seconds=8)


async def test_an_event_that_the_broker_never_takes_is_set_aside_and_keeps_no_other(
    private_bench: Bench, private_rabbitmq: RabbitMQNode, eventually: Eventually
) -> None:
    bench = private_bench
    private_rabbitmq.evaluate("application:set_env(rabbit, max_message_size, 20000).")
    await bench.commit_statuses(["before"], LIFE)
    await bench.finish("large", reply_to=None, recording_ids=("r" * 30_000,))
    await bench.commit_statuses(["after"], LIFE)
    async with bench.relaying():
        await eventually(
            lambda: bench.keys_by_recording() == dict.fromkeys(("before", "after"), KEYS)
        )
        await eventually(bench_is_empty(bench), seconds=60)
        (aside,) = await bench.rows("retry_at < 0")
        assert (aside["subject"], aside["losses"]) == ("large", 3)
        assert "PRECONDITION_FAILED" in aside["last_error"]
        private_rabbitmq.evaluate("application:set_env(rabbit, max_message_size, 134217728).")
        await asyncio.to_thread(publish_again, f"sqlite:///{bench.file}", None)
        await eventually(lambda: "large" in bench.subjects, seconds=60)


async def test_a_reply_that_no_amqp_frame_can_hold_is_set_aside_at_once(
    bench: Bench, eventually: Eventually
) -> None:
    await bench.finish("c1", reply_to="ä" * 200)
    async with bench.relaying():
        await eventually(lambda: bench.received)
        await eventually(bench_is_empty(bench))
    (aside,) = await bench.rows("retry_at < 0")
    assert aside["tries"] == 1


async def test_a_missing_permission_sets_nothing_aside(
    private_bench: Bench, private_rabbitmq: RabbitMQNode, eventually: Eventually
) -> None:
    """Every publication of a status costs the channel until the permission is back."""
    bench = private_bench
    status = f"{bench.topology.prefix}.status"
    private_rabbitmq.set_topic_permissions("guest", status, write="^nothing$", read=".*")
    await bench.commit_statuses(["a", "b", "c"], LIFE)
    await bench.finish("c1", reply_to=None)
    async with bench.relaying():
        await eventually(lambda: "c1" in bench.subjects)
        await eventually(lambda: bench.deferred() >= 3)
        private_rabbitmq.clear_topic_permissions("guest", status)
        await eventually(bench_is_empty(bench), seconds=60)
    keys = bench.keys_by_recording()
    assert {name: keys[name] for name in "abc"} == dict.fromkeys("abc", KEYS)
    assert await bench.set_aside_ids() == []


async def test_an_outcome_and_its_replies_have_one_id_and_all_arrive(
    bench: Bench, eventually: Eventually
) -> None:
    channel = await bench.raw.channel()
    reply_queue = await channel.declare_queue(exclusive=True)
    for _ in range(3):
        await bench.finish("c1", reply_to=reply_queue.name)
    async with bench.relaying():
        await eventually(bench_is_empty(bench))
        replies = [await reply_queue.get(no_ack=True) for _ in range(3)]
        await eventually(lambda: bench.received)
    ids = {message.message_id for message in [*bench.received, *replies]}
    assert len(ids) == 1


async def test_flush_publishes_only_pages_that_were_committed_before_it(
    bench: Bench,
) -> None:
    await bench.commit_statuses([f"r{number}" for number in range(PAGE_SIZE)], [Status.INVOKED])
    later = msgspec.structs.replace(
        _seen("later", Status.INVOKED), observed_at=NOW + timedelta(seconds=1)
    )
    await bench.store.apply([later])
    relay = bench.another_relay(now=NOW.timestamp)
    async with bench.connected(), asyncio.timeout(20):
        await relay.flush()
    assert [pending.subject for pending in await bench.store.unsent(10)] == ["later"]


async def test_a_relay_without_leadership_publishes_nothing(bench: Bench) -> None:
    await bench.commit_statuses(["r"], LIFE)
    async with bench.connected():
        running = asyncio.create_task(bench.relay.run(lambda: False))
        await bench.store.unsent(1)
        await bench.store.unsent(1)
        running.cancel()
        await asyncio.wait([running])
    assert len(await bench.unsent_ids()) == len(KEYS)


async def test_a_relay_that_loses_leadership_stops_within_the_batch(
    bench: Bench, eventually: Eventually
) -> None:
    await bench.commit_statuses(["r"], LIFE)
    asked = iter([True, True, True])  # one for the batch, then one for each event
    async with bench.connected():
        running = asyncio.create_task(bench.relay.run(lambda: next(asked, False)))

        async def some_left() -> bool:
            return len(await bench.unsent_ids()) == len(KEYS) - 2

        await eventually(some_left)
        running.cancel()
        await asyncio.wait([running])


async def test_repeats_while_the_broker_is_unavailable_publish_the_same_outcome(
    bench: Bench, eventually: Eventually
) -> None:
    for _ in range(5):
        await bench.finish("c1", reply_to=None)
    async with bench.relaying():
        await eventually(bench_is_empty(bench))
        await eventually(lambda: bench.received)
    assert len({(message.message_id, message.body) for message in bench.received}) == 1


async def test_a_commit_reaches_a_relay_without_a_wake_up_and_its_events_are_marked(
    bench: Bench, eventually: Eventually
) -> None:
    relay = bench.another_relay(idle_interval_seconds=60.0)
    async with bench.connected():
        await bench.listen()
        running = asyncio.create_task(relay.run(lambda: True))
        for number in range(3):
            await bench.commit_statuses([f"r{number}"], LIFE)
            await eventually(partial(more_than, bench, (number + 1) * len(KEYS) - 1))
        await eventually(bench_is_empty(bench))
        running.cancel()
        await asyncio.wait([running])
    assert len(bench.received) == 3 * len(KEYS)


async def test_a_page_that_was_read_before_leadership_was_lost_is_not_published_after_it(
    bench: Bench, eventually: Eventually
) -> None:
    """Another leader may have published it meanwhile."""
    leads = True
    relay = bench.another_relay(idle_interval_seconds=0.05)
    async with bench.connected():
        await bench.listen()
        running = asyncio.create_task(relay.run(lambda: leads))
        await bench.commit_statuses(["r0"], LIFE[:1])
        await eventually(bench_is_empty(bench))
        leads = False
        await bench.commit_statuses(["r1"], LIFE[:1])  # a query for it may be part of this commit
        other = [event.position for event in await bench.store.unsent(10)]
        await bench.store.mark_page(PageMarks(sent=other), NOW.timestamp())
        leads = True
        await bench.commit_statuses(["r2"], LIFE[:1])
        await eventually(lambda: "r2" in bench.subjects)
        running.cancel()
        await asyncio.wait([running])
    assert bench.subjects == {"r0", "r2"}


async def test_an_idle_relay_reads_the_outbox_once_each_time(
    bench: Bench, eventually: Eventually
) -> None:
    """A page that the relay withdraws must not wake it: then it would read twice before it
    waits."""
    reads: list[int] = []
    with captured() as statements:

        def now() -> float:
            """The relay reads the clock before it reads the outbox, and again when it waits."""
            reads.append(len(reads_of_pages(statements)))
            return time.time()

        relay = bench.another_relay(now=now)
        running = asyncio.create_task(relay.run(lambda: True))
        await eventually(lambda: len(reads_of_pages(statements)) >= 9)
        running.cancel()
        await asyncio.wait([running])
    assert len({reads.count(number) for number in range(1, 8)}) == 1


def reads_of_pages(statements: Sequence[tuple[str, Any]]) -> list[str]:
    """The statements that read a page of the outbox."""
    return [text for text, _ in statements if text.startswith("SELECT outbox.position")]


async def test_events_of_one_id_are_published_one_after_the_other(
    bench: Bench, eventually: Eventually
) -> None:
    """The worker writes no such row, but an operator may have repaired a database by hand."""
    recording_ids = [f"r{number}" for number in range(5)]
    await bench.commit_statuses(recording_ids, LIFE[:2])

    def give_one_id() -> None:
        with closing(sqlite3.connect(bench.file)) as connection, connection:
            connection.execute("UPDATE outbox SET event_id = 'r0/000000000001'")

    await asyncio.to_thread(give_one_id)
    async with bench.relaying():
        await eventually(lambda: len(bench.received) == 10)
        assert len({_subject(message) for message in bench.received}) == 5
