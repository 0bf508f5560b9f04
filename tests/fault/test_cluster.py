"""A cluster of three brokers behind one address. The node that leads is killed."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from recording_sandbox.services.rabbitmq_cluster import QuorumQueue, RabbitMQCluster, launch_cluster
from recording_sandbox.services.rabbitmq_local import LocalNode
from recording_sandbox.waiting import eventually
from tests.fault.fault_environment import FaultEnvironment, open_fault_environment
from tests.fault.killable_worker import KillableWorker
from tests.fault.tcp_proxy import TcpProxy
from tests.fault.test_broker_faults import commands_logged, running, stream
from tests.fault.work_in_progress import LONG_API_TIMEOUT, strike_during_starts
from worker.broker.connection import BrokerConnection
from worker.broker.messages import Outgoing
from worker.broker.publisher import Publisher
from worker.broker.topology import Topology

pytestmark = pytest.mark.timeout(600)

BEFORE, DURING, AFTER = range(20), range(20, 60), range(60, 80)


class Front(TcpProxy):
    """One address for the cluster, as a load balancer gives it: new connections go to one node."""

    def __init__(self, cluster: RabbitMQCluster) -> None:
        self._cluster = cluster
        self.node = next(iter(cluster.nodes))
        super().__init__(cluster.nodes[self.node].port)

    def turn_to(self, name: str) -> None:
        """Send new connections to this node. Open connections continue as long as their node
        lives."""
        self.node = name
        self._ports = itertools.cycle([self._cluster.nodes[name].port])

    @property
    def amqp_url(self) -> str:
        """The URL of the front, for clients."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RabbitMQCluster]:
    """Three nodes. Every test leaves all of them running."""
    with launch_cluster(3) as cluster:
        yield cluster


@pytest.fixture
async def front(cluster: RabbitMQCluster) -> AsyncIterator[Front]:
    """The load balancer in front of the cluster, first directed to the first node."""
    async with Front(cluster) as front:
        yield front


@pytest.fixture
async def clustered(
    front: Front, names_prefix: str, tmp_path: Path
) -> AsyncIterator[FaultEnvironment]:
    """An environment on the cluster. Worker, publisher and subscriber connect through its front."""
    database = f"sqlite:///{tmp_path / 'state.db'}"
    async with open_fault_environment(
        front.amqp_url, database, tmp_path, prefix=names_prefix, seed=1
    ) as environment:
        yield environment


async def commands_of(cluster: RabbitMQCluster, environment: FaultEnvironment) -> QuorumQueue:
    """The queue of commands, when every node has a copy."""

    async def held_by_all() -> QuorumQueue | None:
        name = f"{environment.settings['WORKER_NAME_PREFIX']}.commands"
        queue = await asyncio.to_thread(cluster.queue, name)
        return queue if set(queue.online) == set(cluster.nodes) else None

    found = await eventually(held_by_all, seconds=60, description="every node holds the queue")
    assert found is not None
    return found


async def lose_leader_under(
    cluster: RabbitMQCluster, front: Front, environment: FaultEnvironment, numbers: range
) -> str:
    """Kill the leader of the command queue while commands are sent and executed.

    The front then sends new connections to another node.
    """
    leader = (await commands_of(cluster, environment)).leader  # asking takes longer than the stream

    def lose() -> None:
        cluster.nodes[leader].kill()
        if front.node == leader:
            front.turn_to(next(name for name in cluster.nodes if name != leader))

    await asyncio.gather(strike_during_starts(environment, lose), stream(environment, numbers))
    return leader


async def all_but_delayed_answered(worker: KillableWorker, environment: FaultEnvironment) -> None:
    """Wait until every command has its outcome, or was last given to a retry queue.

    RabbitMQ before 3.12.5 may keep it there until the lost node is back (docs/how-to/deploy.md),
    and a queue with a new leader may count such messages as none.
    """

    def answered() -> bool:
        sent = {command.command_id for command in environment.sender.sent}
        last = {line["command_id"]: line["settlement"] for line in commands_logged(worker)}
        unanswered = sent - environment.recorder.outcomes.keys()
        return all(last.get(command_id) == "retry" for command_id in unanswered)

    await eventually(
        answered, seconds=60, description="all commands but the delayed ones are answered"
    )


async def test_a_cluster_that_loses_several_leaders_loses_and_duplicates_nothing(
    cluster: RabbitMQCluster, front: Front, clustered: FaultEnvironment
) -> None:
    """The second loss leaves a majority only if the first node is a full member again."""
    worker = await running(clustered, **LONG_API_TIMEOUT)
    await stream(clustered, BEFORE)
    await clustered.recorder.outcome_of(f"stop-{BEFORE[-1]}")
    first = await lose_leader_under(cluster, front, clustered, DURING)
    await asyncio.to_thread(cluster.nodes[first].start)
    second = await lose_leader_under(cluster, front, clustered, AFTER)
    assert second != first
    await all_but_delayed_answered(worker, clustered)
    await asyncio.to_thread(cluster.nodes[second].start)
    found = await clustered.settled()
    assert found.violations == ()
    assert found.recordings == AFTER.stop


@asynccontextmanager
async def publishing(amqp_url: str, topology: Topology) -> AsyncIterator[Publisher]:
    """A publisher that is ready, as the worker's."""
    link = BrokerConnection(lambda: amqp_url, "publish")
    publisher = Publisher(link, topology, timeout=5)
    running = asyncio.create_task(link.run(publisher.session))
    async with asyncio.timeout(30):
        await publisher.wait_ready()
    yield publisher
    running.cancel()
    await asyncio.wait([running])


@contextmanager
def suspended(node: LocalNode) -> Iterator[None]:
    """Suspend a node (SIGSTOP) for the length of the block."""
    assert node.pid is not None
    os.kill(node.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(node.pid, signal.SIGCONT)


async def test_a_publisher_without_a_queue_leader_is_not_refused_until_the_lost_node_returns(
    cluster: RabbitMQCluster, names_prefix: str
) -> None:
    topology = Topology(prefix=names_prefix, retry_delays=(1.0,))
    message = Outgoing(exchange="", routing_key=topology.command_queue, body=b"{}", mandatory=True)
    lost, other, third = cluster.nodes.values()
    async with publishing(lost.amqp_url, topology):  # its node leads the queues it declares
        pass
    async with publishing(other.amqp_url, topology) as publisher:
        with suspended(third):  # as long as it does not vote, the other one cannot lead
            await asyncio.to_thread(lost.kill)
            assert await publisher.publish(message) is False, "nobody leads yet"

        async def is_taken() -> bool:
            return publisher.is_ready and await publisher.publish(message)

        await eventually(is_taken, seconds=40, description="it is taken")
    await asyncio.to_thread(lost.start)
