"""RabbitMQ: topology, consuming, settling, publishing. The only room that speaks aio-pika.

Consuming and publishing have a connection each, so that acknowledgements keep flowing while a
memory alarm blocks publishers.
"""

from worker.broker.consumer import Consumer, Handler
from worker.broker.link import Link
from worker.broker.messages import Ack, Dead, Delivery, Outgoing, Retry, Settlement
from worker.broker.publisher import Published, Publisher
from worker.broker.topology import Topology
from worker.broker.tracing_facts import delivery_facts, outgoing_facts

__all__ = [
    "Ack",
    "Consumer",
    "Dead",
    "Delivery",
    "Handler",
    "Link",
    "Outgoing",
    "Published",
    "Publisher",
    "Retry",
    "Settlement",
    "Topology",
    "delivery_facts",
    "outgoing_facts",
]
