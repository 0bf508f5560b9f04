"""A waiting command is logged once, and again when its reason changes."""

import structlog
from prometheus_client import CollectorRegistry

from worker.broker.messages import Ack, Delivery, Retry, Settlement
from worker.commands.completion import HandledCommand
from worker.commands.instrumentation import CommandInstrumentation
from worker.commands.waiting_commands import WaitingCommands
from worker.observability.metrics import Metrics
from worker.observability.tracing import NO_TRACING


def test_a_reason_is_new_once() -> None:
    waiting = WaitingCommands()

    is_new_reason = [
        waiting.is_new_reason("a", reason) for reason in ("over_budget",) * 3 + ("timeout",) * 2
    ]

    assert is_new_reason == [True, False, False, True, False]
    assert waiting.is_new_reason("b", "timeout")


def test_a_command_that_ended_and_waits_again_is_new() -> None:
    waiting = WaitingCommands()
    waiting.is_new_reason("a", "timeout")
    waiting.ended("a")
    waiting.ended("never seen")

    assert waiting.is_new_reason("a", "timeout")


def test_a_message_without_an_id_is_always_new() -> None:
    waiting = WaitingCommands()
    assert [waiting.is_new_reason(None, "timeout") for _ in range(2)] == [True, True]
    waiting.ended(None)


def test_memory_is_limited_by_dropping_the_oldest() -> None:
    waiting = WaitingCommands(limit=2)
    for command_id in ("a", "b", "c"):
        waiting.is_new_reason(command_id, "timeout")

    assert [waiting.is_new_reason(command_id, "timeout") for command_id in ("c", "b")] == [
        False,
        False,
    ]
    assert waiting.is_new_reason("a", "timeout")


def test_the_log_has_one_line_for_each_reason_and_one_for_the_end() -> None:
    metrics = Metrics(CollectorRegistry(), version="0")
    instrumentation = CommandInstrumentation(metrics, NO_TRACING, queue="q", now=lambda: 0.0)

    def attempt(settlement: Settlement, outcome: str | None = None) -> None:
        observed = instrumentation.attempt(Delivery(body=b"", routing_key="k"))
        with observed:
            observed.identify("a", "start_recording")
            observed.complete(HandledCommand(settlement, {"outcome": outcome}))

    structlog.reset_defaults()  # another test may have set the level
    with structlog.testing.capture_logs() as lines:
        for code in ("over_budget", "over_budget", "no_session", "no_session"):
            attempt(Retry(delay_seconds=1.0, code=code, reason="words"))
        attempt(Ack(), "succeeded")

    assert [line["log_level"] for line in lines] == ["info", "debug", "info", "debug", "info"]
