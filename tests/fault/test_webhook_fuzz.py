"""Every request to the webhook path gets an answer, and any order leads to the same history."""

import asyncio
import gc
import itertools
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recording_schemas import Status
from tests.fault.example_counts import examples
from tests.integration.webhook_bench import (
    WebhookBench,
    legacy_status_update,
    open_webhook_bench,
    status_update,
)
from worker.domain.recording import RANK
from worker.store.outbox_marks import PageMarks
from worker.tracking.webhook_endpoint import MAX_BODY_BYTES

ANSWERS = {204, 401, 413, 503}
STATUSES = [str(status) for status in Status]

SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["\x00", "a\x00b", "x" * 5_000, "9999-12-31T23:59:59+23:59", "0001-01-01"])
)
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELD_NAMES = st.sampled_from(
    [
        "id",
        "recordingId",
        "status",
        "startedTime",
        "stoppedTime",
        "invokedTime",
        "recordingDuration",
        "outputFileName",
        "stopReason",
        "startReason",
        "errMessage",
        "meetingId",
        "roomUUID",
        "downloadUrl",
        "fileSize",
    ]
)
EVENTS = st.sampled_from(["recording.statusUpdate", "meeting.ended"]) | JSON
HEADERS = st.dictionaries(
    st.sampled_from(
        ["Content-Type", "rtk-uuid", "rtk-webhook-id", "Expect", "X-Many", "Accept", "Cookie"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.strip)
    | st.sampled_from(["x" * 7_000, "text/plain; charset=nonsense", "application/json;;"]),
)
ENCODINGS = st.sampled_from([None, "gzip", "deflate", "br", "zstd", "identity", "nonsense"])
SIGNATURES = st.booleans() | st.text(st.characters(min_codepoint=33, max_codepoint=126))


class Bench:
    """A webhook bench and a loop to run it, for tests that are not coroutines."""

    def __init__(self, runner: asyncio.Runner, webhooks: WebhookBench) -> None:
        self.webhooks = webhooks
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(asyncio.wait_for(work, timeout=60))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory: Path = tmp_path_factory.mktemp("webhooks")
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        webhooks = runner.run(
            stack.enter_async_context(open_webhook_bench(f"sqlite:///{directory / 'state.db'}"))
        )
        yield Bench(runner, webhooks)
        runner.run(stack.aclose())


@given(body=st.binary(max_size=300), signed=SIGNATURES, headers=HEADERS, encoding=ENCODINGS)
@settings(max_examples=examples(50), deadline=None)
def test_any_request_bytes_get_an_answer(
    bench: Bench, body: bytes, signed: bool | str, headers: dict[str, str], encoding: str | None
) -> None:
    if encoding is not None:
        headers |= {"Content-Encoding": encoding}
    headers.pop("Expect", None)
    answer = bench.run(bench.webhooks.post(body, signed=signed, headers=headers))
    assert answer in ANSWERS - {413, 503}
    assert answer == 204 or signed is not True


@given(
    event=EVENTS,
    fields=st.dictionaries(FIELD_NAMES, JSON, max_size=8),
    status=st.sampled_from(STATUSES) | JSON,
    meeting=JSON,
    known=st.booleans(),
)
@settings(max_examples=examples(100), deadline=None)
def test_every_signed_webhook_is_accepted_and_breaks_nothing(
    bench: Bench, event: Any, fields: dict[str, Any], status: Any, meeting: Any, known: bool
) -> None:
    async def work() -> int:
        webhooks = bench.webhooks
        recording_id = await webhooks.known_recording() if known else "a-stranger"
        recording = {"id": recording_id, "status": status, **fields}
        answer = await webhooks.post({"event": event, "recording": recording, "meeting": meeting})
        if known:
            await webhooks.recording(recording_id)  # accepted webhooks can be read from the store
        return answer

    assert bench.run(work()) == 204


def shattered(body: bytes, at: int) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body[:at]), body[:at]) + b"zz\r\n" + body[at:]


RAW: list[Callable[[bytes], bytes]] = [
    lambda body: b"Content-Length: %d\r\n\r\n%s" % (len(body), body),
    lambda body: b"Content-Length: 18446744073709551616\r\n\r\n%s" % body,
    lambda body: b"Content-Length: -1\r\n\r\n%s" % body,
    lambda body: b"Transfer-Encoding: chunked\r\n\r\n%s" % shattered(body, 5),
    lambda body: b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n%s" % body,
    lambda body: b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + body,
    lambda body: b"X: " + b"y" * 20_000 + b"\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
    lambda body: b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n" + body,
    lambda body: b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body),
    lambda body: b"\x00\xff: \x80\r\n\r\n" + body,
]


@pytest.mark.parametrize("frame", RAW)
@pytest.mark.parametrize("path", ["/webhooks/realtimekit", "/webhooks/realtimekit?app=%00&app=%ff"])
def test_every_malformed_request_gets_an_answer_other_than_500(
    bench: Bench, frame: Callable[[bytes], bytes], path: str
) -> None:
    async def work() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.webhooks.port)
        writer.write(b"POST %s HTTP/1.1\r\nHost: x\r\n" % path.encode() + frame(b'{"event":"x"}'))
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    answer = bench.run(work())
    assert not answer or answer.split(b" ", 2)[1] != b"500", answer


def test_large_bodies_use_bounded_memory_and_release_it(bench: Bench) -> None:
    async def flood(count: int) -> None:
        for _ in range(count):
            assert await bench.webhooks.post(b"x" * MAX_BODY_BYTES) == 204
            assert await bench.webhooks.post(b"x" * MAX_BODY_BYTES, signed="QUJD" * 86) == 401
            assert await bench.webhooks.post(b"x" * (MAX_BODY_BYTES + 1)) == 413
            gc.collect()  # exclude the client's own reference cycles

    gc.collect()
    gc.freeze()  # the collections below need not look at what other tests left
    bench.run(flood(3))
    tracemalloc.start()
    try:
        bench.run(flood(8))
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2 * MAX_BODY_BYTES, kept
    assert peak < 12 * MAX_BODY_BYTES, peak


# The same history in any order

LIVES = st.sampled_from(
    [
        ["RECORDING", "UPLOADING", "UPLOADED"],
        ["RECORDING", "PAUSED", "RECORDING", "UPLOADING", "UPLOADED"],
        ["RECORDING", "PAUSED", "RECORDING", "PAUSED", "UPLOADING"],
        ["RECORDING", "PAUSED", "RECORDING"],
        ["RECORDING", "PAUSED"],
        ["UPLOADING", "ERRORED"],
        ["ERRORED"],
    ]
)


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[str, str, bool, bool]]:
    """Each status's webhook in any order, with repeats. Each has its status, the API's status at
    that time, whether it has the older body, and whether a read follows."""
    life = draw(LIVES)
    again = draw(st.lists(st.integers(0, len(life) - 1), max_size=5))
    by_then, steps = 0, []
    for step in draw(st.permutations([*range(len(life)), *again])):
        by_then = draw(st.integers(max(by_then, step), len(life) - 1))
        steps.append((life[step], life[by_then], draw(st.booleans()), draw(st.booleans())))
    return steps


@given(steps=arrivals())
@settings(max_examples=examples(25), deadline=None)
def test_webhooks_in_any_order_and_number_give_a_monotone_history(
    bench: Bench, steps: list[tuple[str, str, bool, bool]]
) -> None:
    async def work() -> tuple[str, list[dict[str, Any]]]:
        webhooks = bench.webhooks
        recording_id = await webhooks.known_recording()
        for reported, truth, former, somebody_looks in steps:
            worded = legacy_status_update if former else status_update
            assert await webhooks.post(worded(recording_id, reported)) == 204
            if somebody_looks or await webhooks.is_read_due(recording_id):
                await webhooks.observe(recording_id, truth, by="sweep")
        events = await webhooks.events(recording_id)
        await webhooks.store.mark_page(
            PageMarks(sent=[event.position for event in await webhooks.store.unsent(1000)]), 1.0
        )
        return str((await webhooks.recording(recording_id)).status), events

    status, events = bench.run(work())
    changes = [event for event in events if event["type"] == "recording.status_changed.v1"]
    statuses = [change["data"]["status"] for change in changes]
    ranks = [RANK[Status(status)] for status in statuses]
    assert ranks == sorted(ranks)
    assert [change["data"]["previous_status"] for change in changes] == [None, *statuses[:-1]]
    assert all(status != other for status, other in itertools.pairwise(statuses))
    assert status == statuses[-1] == steps[-1][1]
    sequences = [int(event["sequence"]) for event in events]
    assert sequences == list(range(sequences[0], sequences[0] + len(events)))
    assert len({event["id"] for event in events}) == len(events)
