"""The messages of parked commands, on their way back to the queue."""

from worker.broker.kept_copy import unparked_message


def test_the_broker_returns_a_parked_command_that_no_queue_takes() -> None:
    message = unparked_message(
        b"{}", '{"properties": {}, "headers": {}}', command_queue="q", position=1, now=0.0
    )
    assert (message.routing_key, message.mandatory) == ("q", True)
