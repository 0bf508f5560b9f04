"""The state of a broker, for the report of a test that failed with it."""

from typing import Final

from recording_sandbox.services.processes import LaunchError
from recording_sandbox.services.rabbitmq import RabbitMQNode
from recording_sandbox.services.rabbitmq_local import LocalNode

LOG_CHARACTERS: Final = 4_000

_STATE: Final = """
lists:flatten(io_lib:format("alarms ~p, supervisor of dead-letter workers ~p~n~s", [
    catch rabbit_alarm:get_alarms(),
    whereis(rabbit_fifo_dlx_sup),
    [io_lib:format("~s: messages ~p, leader ~p~n", [
         Name,
         catch rabbit_amqqueue:info(Queue, [messages, messages_ready, consumers]),
         catch ra:leader_query(amqqueue:get_pid(Queue), fun(_) -> there end, 500)])
     || Queue <- rabbit_amqqueue:list(<<"/">>),
        {resource, _, _, Name} <- [amqqueue:get_name(Queue)]]])).
"""


def broker_state(node: RabbitMQNode) -> str:
    """The broker's alarms, its queues with their leaders, and the end of its logs."""
    try:
        state = node.evaluate(_STATE).replace("\\n", "\n")
    except LaunchError as error:
        state = str(error)
    return "\n".join([f"The broker at {node.port}:", state, *_log_ends(node)])


def _log_ends(node: RabbitMQNode) -> list[str]:
    if not isinstance(node, LocalNode):
        return []
    files = (node.directory / "boot.log", *sorted((node.directory / "log").glob("*.log")))
    return [f"{file.name}:\n{file.read_text(errors='replace')[-LOG_CHARACTERS:]}" for file in files]
