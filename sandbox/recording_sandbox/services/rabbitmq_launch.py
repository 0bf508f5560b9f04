"""Launches RabbitMQ: uses the broker of AMQP_URL, or starts a private one."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from recording_sandbox.services.install import apt_install
from recording_sandbox.services.rabbitmq import DOCKER_IMAGE, DockerNode, ExternalNode, RabbitMQNode
from recording_sandbox.services.rabbitmq_local import LocalNode
from recording_sandbox.services.service import find_or_install

# Debian's wrappers on PATH change the user and the home directory. These scripts do not.
SCRIPT_DIRECTORIES = (
    "/usr/lib/rabbitmq/bin",
    "/usr/local/lib/rabbitmq/bin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)


def launch_rabbitmq(
    *, environ: Mapping[str, str] = os.environ, private: bool = False
) -> RabbitMQNode:
    """The broker of AMQP_URL, or a private one that is started now.

    With `private` AMQP_URL is ignored, so that the broker can be stopped and killed.

    Raises:
        LaunchError: if that is impossible. The text says what to do.
    """
    if environ.get("AMQP_URL") and not private:
        return ExternalNode(environ["AMQP_URL"])
    scripts = ensure_rabbitmq()
    return DockerNode() if scripts is None else LocalNode(scripts)


def ensure_rabbitmq() -> Path | None:
    """The directory of RabbitMQ's scripts, which are installed if necessary; None with docker.

    Raises:
        LaunchError: if that is impossible. The text says what to do.
    """
    return find_or_install(
        "RabbitMQ",
        find_scripts,
        lambda: apt_install("rabbitmq-server"),
        DOCKER_IMAGE,
        alternatives="set AMQP_URL to a broker; install the package rabbitmq-server; run this as "
        "root on Debian or Ubuntu, which installs it; or start docker.",
    )


def find_scripts() -> Path | None:
    """The directory of `rabbitmq-server` and `rabbitmqctl`, or None."""
    for directory in map(Path, SCRIPT_DIRECTORIES):
        if (directory / "rabbitmq-server").exists():
            return directory
    on_path = shutil.which("rabbitmq-server")
    return Path(on_path).resolve().parent if on_path else None
