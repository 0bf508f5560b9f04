"""The format of log lines, and the secrets that never appear in one."""

import asyncio
import io
import json
import logging
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import aiormq
import pytest
import structlog
from aiormq.exceptions import AMQPConnectionError

from tests.restored_logs import restored_logs
from worker.observability.log_redaction import LogRedaction, redact_text
from worker.observability.logs import configure_logs

Lines = Callable[[], list[dict[str, object]]]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    with restored_logs():
        yield


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def fail_with(message: str) -> None:
    local = "a value that only this function knows"
    assert local
    raise RuntimeError(message)


def test_a_line_is_json_unless_on_a_terminal(stream: io.StringIO, lines: Lines) -> None:
    configure_logs(stream=stream)
    structlog.get_logger().info("command_done", attempts=3)

    (line,) = lines()
    assert list(line) == ["timestamp", "level", "event", "attempts"]
    assert (line["level"], line["event"], line["attempts"]) == ("info", "command_done", 3)


def test_a_terminal_gets_lines_for_humans(stream: io.StringIO) -> None:
    terminal = Terminal()
    configure_logs(stream=terminal)
    structlog.get_logger().info("command_done", attempts=3)

    assert "command_done" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")


def test_the_format_can_be_chosen_on_a_terminal(stream: io.StringIO) -> None:
    terminal = Terminal()
    configure_logs(stream=terminal, format="json")
    structlog.get_logger().info("command_done")

    assert json.loads(terminal.getvalue())["event"] == "command_done"


def test_lines_below_the_level_are_not_written(stream: io.StringIO, lines: Lines) -> None:
    configure_logs(stream=stream, level="warning")
    structlog.get_logger().info("unimportant")
    structlog.get_logger().warning("important")

    assert [line["event"] for line in lines()] == ["important"]


@pytest.mark.parametrize("library", ["aio_pika", "aiormq", "sqlalchemy", "alembic", "aiohttp"])
def test_libraries_log_from_warning_on_even_at_level_debug(
    stream: io.StringIO, lines: Lines, library: str
) -> None:
    configure_logs(stream=stream, level="debug")
    logging.getLogger(library).info("chatter")
    logging.getLogger(f"{library}.part").warning("lost %s", "it")

    (line,) = lines()
    assert (line["event"], line["level"], line["logger"]) == (
        "lost it",
        "warning",
        f"{library}.part",
    )


async def test_the_broker_client_does_not_repeat_what_the_worker_logs_itself(
    stream: io.StringIO, lines: Lines
) -> None:
    """A broker that is unavailable costs one line for each attempt, `broker_connection_lost`."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"amqp://127.0.0.1:{closed.getsockname()[1]}/"
        configure_logs(stream=stream)
        with pytest.raises(AMQPConnectionError):
            await aiormq.connect(url)
    logging.getLogger("aiormq.connection").error("another error")

    assert [line["event"] for line in lines()] == ["another error"]


def test_configuring_again_replaces_the_earlier_configuration(
    stream: io.StringIO, lines: Lines
) -> None:
    configure_logs(stream=io.StringIO())
    configure_logs(stream=stream)
    structlog.get_logger().info("once")

    assert len(lines()) == 1


def test_fields_bound_to_the_context_are_in_every_line(stream: io.StringIO, lines: Lines) -> None:
    configure_logs(stream=stream)
    with structlog.contextvars.bound_contextvars(command_id="c-1"):
        structlog.get_logger().info("one")
        logging.getLogger("aio_pika").warning("two")

    assert [line["command_id"] for line in lines()] == ["c-1", "c-1"]


@pytest.mark.parametrize("format_", ["json", "console"])
def test_no_sensitive_text_shows_wherever_it_is(stream: io.StringIO, format_: str) -> None:
    configure_logs(stream=stream, format=format_, sensitive_texts=lambda: ["open-sesame"])  # type: ignore[arg-type]
    log = structlog.get_logger()
    log.info("a open-sesame", deep={"list": [("open-sesame",)]}, thing=Exception("open-sesame"))
    logging.getLogger("aiormq").error("with %s", "open-sesame")
    try:
        fail_with("because of open-sesame")
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("aiohttp").exception("failed")

    assert "sesame" not in stream.getvalue()
    assert stream.getvalue().count("[secure]") >= 6


@pytest.mark.parametrize("format_", ["json", "console"])
def test_tracebacks_show_no_local_variables(stream: io.StringIO, format_: str) -> None:
    configure_logs(stream=stream, format=format_)  # type: ignore[arg-type]
    try:
        fail_with("over")
    except RuntimeError:
        structlog.get_logger().exception("failed")

    assert "fail_with" in stream.getvalue()
    assert "'a value that only" not in stream.getvalue()


def test_a_changed_secret_is_removed_from_then_on() -> None:
    secrets = ["first-text"]
    redact = LogRedaction(lambda: secrets)
    secrets.append("second-text")

    assert redact(None, "info", {"event": "first-text second-text"}) == {
        "event": "[secure] [secure]"
    }


def test_a_secret_inside_a_longer_one_leaves_no_rest() -> None:
    redact = LogRedaction(lambda: ["sesame", "sesame-street"])
    assert redact(None, "info", {"event": "sesame-street"}) == {"event": "[secure]"}


def test_a_secret_in_one_field_leaves_the_others_as_they_are() -> None:
    redact = LogRedaction(lambda: ["sesame-street"])
    fields = {"event": "lost", "url": "https://h/a?sig=1", "word": "sesame-street", "count": 1}

    assert redact(None, "info", fields) == {
        "event": "lost",
        "url": "https://h/a?…",
        "word": "[secure]",
        "count": 1,
    }


def test_fields_that_only_together_look_like_a_credential_stay() -> None:
    fields = {"event": "no bearer", "command_id": "0123456789abcdef0123"}
    assert LogRedaction(tuple)(None, "info", dict(fields)) == fields


def test_a_very_short_secret_is_not_removed() -> None:
    assert LogRedaction(lambda: ["guest"])(None, "info", {"event": "guests"}) == {"event": "guests"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://h/a.webm?sig=1&x=2 failed", "GET https://h/a.webm?… failed"),
        ("'https://h/a?sig=1'", "'https://h/a?…'"),
        ("lost amqp://me:pw@h:5672/", "lost amqp://me:***@h:5672/"),
        ("lost amqp://me:p@w@h:5672/", "lost amqp://me:***@h:5672/"),
        ("Authorization: Bearer abcdef1234567890", "Authorization: Bearer [secure]"),
        ("bearer authentication", "bearer authentication"),
        ("why? because", "why? because"),
        ("at https://h/a.webm", "at https://h/a.webm"),
    ],
)
def test_credentials_are_recognised_by_their_form(text: str, shown: str) -> None:
    assert redact_text(text) == shown


def test_numbers_and_none_keep_their_types(stream: io.StringIO, lines: Lines) -> None:
    configure_logs(stream=stream)
    structlog.get_logger().info("facts", count=1, ratio=0.5, found=None, ok=True)

    (line,) = lines()
    assert (line["count"], line["ratio"], line["found"], line["ok"]) == (1, 0.5, None, True)


class BrokenStream(io.StringIO):
    """A stream whose reader is gone."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, _text: str) -> int:
        raise self.error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "full"), ValueError("closed")])
def test_a_line_that_cannot_be_written_is_dropped_without_an_error(
    stream: io.StringIO, error: Exception
) -> None:
    configure_logs(stream=BrokenStream(error))
    structlog.get_logger().warning("ours")
    logging.getLogger("aiormq").warning("theirs")
    assert not stream.getvalue()


def test_lines_of_several_threads_stay_whole(stream: io.StringIO, lines: Lines) -> None:
    configure_logs(stream=stream)

    def chatter(number: int) -> None:
        for _ in range(100):
            structlog.get_logger().info("ours", filler="x" * 5_000, number=number)
            logging.getLogger("aiormq").warning("theirs %s", "y" * 5_000)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(chatter, range(4)))
    assert len(lines()) == 800


def test_a_secret_is_removed_from_keys_and_from_its_repr(stream: io.StringIO) -> None:
    configure_logs(stream=stream, sensitive_texts=lambda: ['open "sesame"\n'])
    sensitive = 'open "sesame"\n'
    structlog.get_logger().info("odd", held={sensitive: 1}, error=KeyError(sensitive))
    assert "sesame" not in stream.getvalue()


def test_values_without_a_json_form_are_shown(stream: io.StringIO, lines: Lines) -> None:
    configure_logs(stream=stream)
    structlog.get_logger().info("odd", text="half \ud800", count=2**80, thing=object)

    (line,) = lines()
    assert (line["text"], line["count"]) == ("half \ud800", 2**80)
    assert line["thing"] == "<class 'object'>"


def test_texts_with_percent_signs_are_shown_unchanged(stream: io.StringIO, lines: Lines) -> None:
    configure_logs(stream=stream)
    structlog.get_logger().warning("100 %s", reason="50 %")

    (line,) = lines()
    assert (line["event"], line["reason"]) == ("100 %s", "50 %")


# Lines together


class CountingStream(io.StringIO):
    """A stream that counts how often it is written to."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


async def test_lines_of_one_loop_turn_are_written_together_and_in_order() -> None:
    stream = CountingStream()
    configure_logs(format="json", stream=stream)
    for number in range(3):
        structlog.get_logger().info("said", number=number)
    assert stream.getvalue() == ""
    await asyncio.sleep(0)
    assert stream.writes == 1
    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == [*range(3)]


async def test_a_warning_is_written_at_once_and_overtakes_nothing() -> None:
    stream = CountingStream()
    configure_logs(format="json", stream=stream)
    structlog.get_logger().info("first")
    structlog.get_logger().warning("second")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "first",
        "second",
    ]


async def test_no_line_of_a_thread_is_lost_while_the_loop_logs() -> None:
    stream = CountingStream()
    configure_logs(format="json", stream=stream)

    def say(name: int) -> None:
        for number in range(200):
            structlog.get_logger().info("said", who=name, number=number)

    await asyncio.gather(*(asyncio.to_thread(say, name) for name in range(4)))
    say(4)
    await asyncio.sleep(0)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    for name in range(5):
        assert [line["number"] for line in lines if line["who"] == name] == [*range(200)]


def test_without_a_loop_lines_are_written_at_once() -> None:
    stream = CountingStream()
    configure_logs(format="json", stream=stream)
    structlog.get_logger().info("said")
    assert stream.writes == 1
