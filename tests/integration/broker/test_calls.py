"""Calls of the AMQP library, which confuses a cancellation with the loss of a channel."""

import asyncio

import pytest
from aiormq.exceptions import AMQPError

from worker.broker.connection import broker_call
from worker.domain.errors import BrokerUnavailable, TopologyDiffers


async def raise_error(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize("error", [asyncio.CancelledError(), Exception(), StopAsyncIteration()])
async def test_a_call_that_ends_with_its_channel_raises_broker_unavailable(
    error: BaseException,
) -> None:
    with pytest.raises(BrokerUnavailable):
        await broker_call(raise_error(error))


async def test_our_own_errors_pass_unchanged() -> None:
    with pytest.raises(TopologyDiffers):
        await broker_call(raise_error(TopologyDiffers("x")))


async def swallow_cancellation(entered: asyncio.Event, replacement: BaseException | None) -> None:
    """Replace a cancellation by another error, or by none, as the library does."""
    try:
        entered.set()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if replacement is not None:
            raise replacement from None


@pytest.mark.parametrize("replacement", [None, AMQPError("closed")])
async def test_a_cancelled_task_ends_even_if_the_library_swallows_the_cancellation(
    replacement: BaseException | None,
) -> None:
    entered = asyncio.Event()
    waiting = asyncio.create_task(broker_call(swallow_cancellation(entered, replacement)))
    await entered.wait()
    waiting.cancel()
    await asyncio.wait([waiting], timeout=20)
    assert waiting.cancelled()


async def test_a_timeout_is_raised_even_if_the_library_swallows_the_cancellation() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await broker_call(swallow_cancellation(asyncio.Event(), None))
