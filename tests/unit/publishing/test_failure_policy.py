"""When events are published again that the broker did not accept."""

import pytest
from prometheus_client import CollectorRegistry

from worker.domain.errors import ChannelLost, MessageRefused, NotConfirmed
from worker.observability.metrics import Metrics
from worker.publishing.failure_policy import WAIT_FOR_PROBE_SECONDS, FailurePolicy
from worker.store.outbox_marks import Offer
from worker.store.unsent_events import UnsentEvent

NOW = 1000.0
FULL = MessageRefused("a queue is full")
DENIED = ChannelLost("ACCESS_REFUSED", is_permission=True)
LATE = NotConfirmed("no confirmation within 5 s")
OFFER = Offer(exchange="status", routing_key="track.invoked", error=str(FULL))


@pytest.fixture
def policy() -> FailurePolicy:
    return FailurePolicy(metrics=Metrics(CollectorRegistry(), version="test"), now=lambda: NOW)


def event(position: int, *, losses: int = 0) -> UnsentEvent:
    return UnsentEvent(
        position=position,
        event_id=f"e{position}",
        event_type="recording.status_changed.v1",
        subject=f"r{position}",
        exchange="status",
        routing_key="track.invoked",
        correlation_id=None,
        headers={},
        body=b"{}",
        created_at=0.0,
        tries=losses,
        losses=losses,
    )


def test_one_refused_event_of_a_destination_tries_and_the_others_wait(
    policy: FailurePolicy,
) -> None:
    marks = policy.marks([(event(1), FULL), (event(2), FULL)])
    assert [mark.retry_at - NOW for mark in marks.deferred] == [1.0, WAIT_FOR_PROBE_SECONDS]


def test_a_refused_event_that_cost_a_channel_before_tries_by_itself(policy: FailurePolicy) -> None:
    marks = policy.marks([(event(1), FULL), (event(2, losses=1), FULL)])
    assert [mark.retry_at - NOW for mark in marks.deferred] == [1.0, 1.0]


@pytest.mark.parametrize("error", [DENIED, LATE])
def test_events_that_may_have_reached_no_queue_are_offered_once_when_one_queue_is_full(
    policy: FailurePolicy, error: ChannelLost | NotConfirmed
) -> None:
    assert policy.marks([(event(1), error), (event(2), error)]).offers == []
    assert policy.marks([(event(1), FULL)]).offers == [OFFER]
    assert policy.marks([(event(1), FULL), (event(2), FULL)]).offers == []
