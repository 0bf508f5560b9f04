"""Finds a RabbitMQ for tests. Unlike the demo, it installs nothing."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from recording_sandbox.services.processes import LaunchError
from recording_sandbox.services.rabbitmq import ExternalNode, RabbitMQNode
from recording_sandbox.services.rabbitmq_launch import find_scripts
from recording_sandbox.services.rabbitmq_local import LocalNode


def start_broker(
    environ: Mapping[str, str] = os.environ, find: Callable[[], Path | None] = find_scripts
) -> RabbitMQNode:
    """The broker of AMQP_URL, else a private one of the installed RabbitMQ.

    Raises:
        LaunchError: if there is neither, or it does not start. The text says what to do.
    """
    if environ.get("AMQP_URL"):
        return ExternalNode(environ["AMQP_URL"])
    if (scripts := find()) is None:
        raise LaunchError(
            "the fixture recording_rabbitmq needs a RabbitMQ: set AMQP_URL to a broker for tests, "
            "or install rabbitmq-server, which the tests then start for themselves"
        )
    return LocalNode(scripts)
