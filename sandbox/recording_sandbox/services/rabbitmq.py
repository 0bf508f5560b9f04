"""RabbitMQ as a service: the interface of all nodes, and nodes that other programs started."""

import socket
from abc import abstractmethod
from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

from recording_sandbox.services.install import Container
from recording_sandbox.services.ports import free_ports
from recording_sandbox.services.processes import LaunchError
from recording_sandbox.services.service import (
    ContainedService,
    ExternalService,
    Service,
)

DOCKER_IMAGE = "rabbitmq:4"

Messages = Literal["messages", "messages_ready", "messages_unacknowledged"]

_COUNTERS: Final[Mapping[Messages, str]] = {
    "messages": "query_messages_total",
    "messages_ready": "query_messages_ready",
    "messages_unacknowledged": "query_messages_checked_out",
}


class RabbitMQNode(Service):
    """A running broker that listens on `port`."""

    amqp_url: str
    port: int

    @abstractmethod
    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl`. Returns its stdout. Takes a second of CPU: prefer `evaluate`."""

    def evaluate(self, expressions: str) -> str:
        """Evaluate Erlang expressions in the node. Returns the last value, as Erlang writes it.

        The expressions are ASCII, separated by commas, and end with a full stop.

        Raises:
            LaunchError: if the node does not run, or the evaluation fails.
        """
        return self.ctl("eval", expressions).strip()

    def reset(self) -> None:
        """Reset it: no queues, no alarm, no changed limit."""
        self.evaluate(_RESET)

    def count_messages(self, queue: str, state: Messages = "messages") -> int:
        """How many messages a quorum queue has now, as its leader counts them."""
        resource = f'rabbit_misc:r(<<"/">>, queue, {_binary(queue)})'
        return int(
            self.evaluate(
                f"{{ok, Queue}} = rabbit_amqqueue:lookup({resource}), "
                "{ok, {_, Count}, _} = ra:leader_query("
                f"amqqueue:get_pid(Queue), fun rabbit_fifo:{_COUNTERS[state]}/1), "
                "Count."
            )
        )

    def set_memory_alarm(self, on: bool) -> None:
        """Raise or clear the memory alarm. While it is on, publishing connections are blocked."""
        limit = "0.000001" if on else "0.4"
        self.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({limit}).")

    def add_user(self, name: str, password: str) -> None:
        """Add a user, who may do everything with every name."""
        user, secret = _binary(name), _binary(password)
        self.evaluate(
            f'ok = rabbit_auth_backend_internal:add_user({user}, {secret}, <<"tests">>), '
            f"{_permissions(name)}."
        )

    def set_permissions(self, user: str, *, configure: str, write: str, read: str) -> None:
        """Replace the patterns of the names that a user may configure, write and read."""
        self.evaluate(f"{_permissions(user, configure, write, read)}.")

    def set_topic_permissions(self, user: str, exchange: str, *, write: str, read: str) -> None:
        """Restrict the routing keys that a user may publish and bind with at a topic exchange."""
        terms = ", ".join(map(_binary, (exchange, write, read, "tests")))
        self.evaluate(
            f'ok = rabbit_auth_backend_internal:set_topic_permissions({_binary(user)}, <<"/">>, '
            f"{terms})."
        )

    def clear_topic_permissions(self, user: str, exchange: str) -> None:
        """Allow the user every routing key at this exchange again."""
        terms = ", ".join(map(_binary, (user, "/", exchange, "tests")))
        self.evaluate(f"ok = rabbit_auth_backend_internal:clear_topic_permissions({terms}).")

    def set_policy(self, name: str, pattern: str, definition: str) -> None:
        """Apply a policy, whose definition is JSON, to the queues whose names match."""
        terms = ", ".join(map(_binary, ("/", name, pattern, definition, "0", "queues", "tests")))
        self.evaluate(f"ok = rabbit_policy:parse_set({terms}).")

    def clear_policy(self, name: str) -> None:
        """Remove a policy."""
        self.evaluate(f'ok = rabbit_policy:delete(<<"/">>, {_binary(name)}, <<"tests">>).')

    def delete_user(self, name: str) -> None:
        """Delete a user. Its connections are closed."""
        self.evaluate(
            f'ok = rabbit_auth_backend_internal:delete_user({_binary(name)}, <<"tests">>).'
        )


def _binary(text: str) -> str:
    """The text as a term of Erlang."""
    return f"<<{','.join(map(str, text.encode()))}>>"


def _permissions(user: str, *patterns: str) -> str:
    configure, write, read = map(_binary, patterns or (".*", ".*", ".*"))
    return (
        f'ok = rabbit_auth_backend_internal:set_permissions({_binary(user)}, <<"/">>, '
        f'{configure}, {write}, {read}, <<"tests">>)'
    )


_RESET = """
Supervise = fun() ->
    is_pid(whereis(rabbit_fifo_dlx_sup))
        orelse ({ok, _} = supervisor:restart_child(rabbit_sup, rabbit_fifo_dlx_sup))
end,
Deadline = erlang:monotonic_time(millisecond) + 20000,
Await = fun Wait(Member) ->
    case catch ra:leader_query(Member, fun(_) -> ok end, 1000) of
        {ok, _, _} -> ok;
        _ -> erlang:monotonic_time(millisecond) > Deadline orelse begin
                 catch ra:trigger_election(Member),
                 timer:sleep(50),
                 Wait(Member)
             end
    end
end,
Supervise(),
[Await(amqqueue:get_pid(Queue))
    || Queue <- rabbit_amqqueue:list(<<"/">>), amqqueue:get_type(Queue) =:= rabbit_quorum_queue],
[catch sys:get_state(Worker)
    || {_, Worker, _, _} <- supervisor:which_children(rabbit_fifo_dlx_sup)],
ok = rabbit_vhost:delete(<<"/">>, <<"tests">>),
ok = rabbit_vhost:add(<<"/">>, <<"tests">>),
rabbit_auth_backend_internal:set_permissions(
    <<"guest">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>),
vm_memory_monitor:set_vm_memory_high_watermark(0.4),
[application:set_env(rabbit, Limit, Value) || {Limit, Value} <- [
    {max_message_size, 134217728},
    {frame_max, 131072},
    {consumer_timeout, 1800000},
    {channel_tick_interval, 60000}]],
Supervise().
"""
"""First it waits for the leaders of the queues and for their dead-letter workers. Both begin after
the node accepts connections. A dead-letter worker that begins while its queue is deleted fails, and
fails again at each restart, until the supervisor of all such workers ends. RabbitMQ does not
restart that supervisor, and the node accepts no new queue with such a worker. So it is started
here.

A queue that was declared less than three seconds before a kill returns as a new one, whose first
election must be triggered.
"""


class ExternalNode(ExternalService, RabbitMQNode):
    """A broker that we did not start."""

    unmanaged_message = (
        "The broker of AMQP_URL must not be stopped. Unset AMQP_URL, or launch a private broker "
        "by launch_rabbitmq(private=True)."
    )

    def __init__(self, amqp_url: str) -> None:
        self.amqp_url = amqp_url
        self.port = urlsplit(amqp_url).port or 5672

    def ctl(self, *arguments: str) -> str:
        """Raises LaunchError."""
        raise LaunchError(self.unmanaged_message)


class DockerNode(ContainedService, RabbitMQNode):
    """A broker in a container."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.amqp_url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        container = Container(DOCKER_IMAGE, publish={self.port: 5672})
        super().__init__("RabbitMQ", container, lambda: speaks_amqp(self.port))

    def ctl(self, *arguments: str) -> str:
        """Run `rabbitmqctl` in the container. Returns its stdout."""
        return self._container.execute("rabbitmqctl", "--quiet", *arguments)


def speaks_amqp(port: int) -> bool:
    """Whether a broker answers the AMQP 0-9-1 greeting. A port mapping of docker does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.settimeout(2)
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
    except OSError:
        return False
