"""A RabbitMQ to use: the one named by AMQP_URL, else a private node on this machine."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from sandbox.services.install import apt_install
from sandbox.services.rabbitmq import DOCKER_IMAGE, DockerNode, ExternalNode, RabbitMQNode
from sandbox.services.rabbitmq_local import LocalNode
from sandbox.services.service import find_or_install

# Debian's wrappers on PATH change the user and the home; the scripts behind them do not.
SCRIPT_PLACES = (
    "/usr/lib/rabbitmq/bin",
    "/usr/local/lib/rabbitmq/bin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)


def launch_rabbitmq(
    directory: Path | None = None, *, environ: Mapping[str, str] = os.environ, private: bool = False
) -> RabbitMQNode:
    """The broker that AMQP_URL names, else a private one that is started now.

    `directory` keeps the node's files (by default a temporary one that is removed at the end).
    `private` asks for one that can be stopped and killed, also when AMQP_URL is set.

    Raises:
        LaunchError: when there is no way to have one; the text says what to do.
    """
    if environ.get("AMQP_URL") and not private:
        return ExternalNode(environ["AMQP_URL"])
    scripts = ensure_rabbitmq()
    return DockerNode() if scripts is None else LocalNode(scripts, directory)


def ensure_rabbitmq() -> Path | None:
    """Where RabbitMQ's scripts lie, installed if need be; None when only docker has it.

    Raises:
        LaunchError: when there is no way to have one; the text says what to do.
    """
    return find_or_install(
        "RabbitMQ",
        find_scripts,
        lambda: apt_install("rabbitmq-server"),
        DOCKER_IMAGE,
        otherwise="set AMQP_URL to a broker; install the package rabbitmq-server; run this as root "
        "on Debian or Ubuntu, which installs it; or start docker.",
    )


def find_scripts() -> Path | None:
    """Where `rabbitmq-server` and `rabbitmqctl` lie on this machine, or None."""
    for place in map(Path, SCRIPT_PLACES):
        if (place / "rabbitmq-server").exists():
            return place
    found = shutil.which("rabbitmq-server")
    return Path(found).resolve().parent if found else None
