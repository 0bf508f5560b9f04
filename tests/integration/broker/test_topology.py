"""Declaring and verifying the topology on a real RabbitMQ."""

import pytest

from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.integration.broker.broker_bench import BrokerBenches, acknowledge
from worker.broker.connection import BrokerConnection, open_connection
from worker.broker.publisher import Publisher
from worker.broker.topology import declare, verify
from worker.domain.errors import BrokerUnavailable, TopologyDiffers


async def test_declaring_an_existing_topology_changes_nothing(benches: BrokerBenches) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.raw.channel(publisher_confirms=False) as channel:
        await declare(channel, bench.topology)
        await declare(channel, bench.topology)
        await verify(channel, bench.topology)


async def test_a_queue_with_other_arguments_is_refused_by_name(benches: BrokerBenches) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.raw.channel(publisher_confirms=False) as channel:
        await channel.declare_queue(bench.topology.dead_queue, durable=True)
    async with bench.raw.channel(publisher_confirms=False) as channel:
        with pytest.raises(TopologyDiffers, match=r"x-queue-type|x-max-length") as caught:
            await declare(channel, bench.topology)
    assert bench.topology.dead_queue in str(caught.value)


async def test_a_limit_of_queues_ends_no_worker_and_is_not_taken_for_other_properties(
    benches: BrokerBenches, rabbitmq: RabbitMQNode, names_prefix: str
) -> None:
    bench = await benches.bench(acknowledge)
    host = f'<<"{names_prefix}">>'
    everything = '<<".*">>, <<".*">>, <<".*">>, <<"tests">>'
    rabbitmq.evaluate(
        f'rabbit_vhost:add({host}, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
        f'<<"guest">>, {host}, {everything}), '
        f'rabbit_vhost_limit:set({host}, [{{<<"max-queues">>, 2}}], <<"tests">>).'
    )
    connection = await open_connection(f"{rabbitmq.amqp_url}{names_prefix}", "test")
    async with connection, connection.channel(publisher_confirms=False) as channel:
        with pytest.raises(BrokerUnavailable, match=r"queue limit .* is reached") as caught:
            await declare(channel, bench.topology)
    assert "exists" not in str(caught.value)
    rabbitmq.evaluate(f'rabbit_vhost:delete({host}, <<"tests">>).')


async def test_an_exchange_of_another_kind_is_refused_by_name(benches: BrokerBenches) -> None:
    bench = await benches.bench(acknowledge)
    status = bench.topology.exchange("status")
    async with bench.raw.channel(publisher_confirms=False) as channel:
        await channel.declare_exchange(status, "direct", durable=True)
    async with bench.raw.channel(publisher_confirms=False) as channel:
        with pytest.raises(TopologyDiffers, match=status):
            await declare(channel, bench.topology)


async def test_verify_names_the_missing_exchange_and_creates_nothing(
    benches: BrokerBenches,
) -> None:
    bench = await benches.bench(acknowledge)
    async with bench.raw.channel(publisher_confirms=False) as channel:
        with pytest.raises(TopologyDiffers, match=bench.topology.exchange("commands")):
            await verify(channel, bench.topology)


async def test_without_the_topology_a_worker_that_may_only_verify_does_not_start(
    benches: BrokerBenches, amqp_url: str
) -> None:
    bench = await benches.bench(acknowledge)
    link = BrokerConnection(lambda: amqp_url, "publish")
    publisher = Publisher(link, bench.topology, timeout=5, may_declare=False)
    with pytest.raises(TopologyDiffers, match="WORKER_TOPOLOGY"):
        await link.run(publisher.session)
