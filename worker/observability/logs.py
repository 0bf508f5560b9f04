"""Sets up logging: the worker's lines and the libraries' have one format and go to stderr.

Event names are stable ids (`sweep_completed`), and facts are fields. The worker's lines skip the
standard library's loggers, which took more CPU than the rest of a line together.
"""

import asyncio
import atexit
import contextlib
import json
import logging
import sys
import time
from threading import RLock
from typing import Final, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.domain.escaping import escape_controls, escape_json_controls
from worker.observability.log_output import LogOutput
from worker.observability.log_redaction import LogRedaction, SensitiveTexts

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

FIRST_FIELDS: Final = ("timestamp", "level", "event")

RETRY_SECONDS: Final = 0.05
"""How long lines wait before the next attempt to write them, if their reader takes none."""

EXIT_SECONDS: Final = 1.0
"""How long the end of the process waits for the reader of the last lines."""


class LineWriter:
    """Writes whole lines in their order, from any thread, and never waits for their reader.

    Lines up to `info` are written together at the end of the event loop's turn, because commands
    end many at a time. While the reader of a pipe takes nothing, lines wait. When the output or the
    disk is full, lines are dropped, and a line `log_lines_dropped` with their number follows later.

    A finalizer may log in the middle of any method, for example asyncio's for an exception that was
    never retrieved. Its line is written after those that are being written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._output = LogOutput(stream)
        self._lock = RLock()  # of a finalizer, the thread may have it already
        self._is_writing = False
        self._waiting: list[str] = []
        self._dropped = 0
        self._retry: asyncio.TimerHandle | None = None
        atexit.register(self._finish)  # for the lines of the event loop's last turn

    def write_now(self, line: str) -> None:
        """Write a line, given without its line end, after the lines that wait."""
        self._add(line)
        self.flush()

    def write_soon(self, line: str) -> None:
        """Write a line at the end of the event loop's turn, or now without an event loop."""
        if self._add(line) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()

    def _add(self, line: str) -> int:
        with self._lock:  # else the line could join those being written, and be lost
            self._waiting.append(line)
            return len(self._waiting)

    def flush(self) -> None:
        """Write all lines that wait, as far as the reader takes them."""
        dropped = 0
        with self._lock:
            if self._is_writing:
                return
            self._is_writing = True
            try:
                self._write()
                while self._waiting:  # lines of finalizers
                    self._write()
                if self._output.is_waiting:
                    self._flush_later()
                elif not self._output.has_failed:
                    dropped, self._dropped = self._dropped, 0
            finally:
                self._is_writing = False
        if dropped:
            structlog.get_logger().warning("log_lines_dropped", lines=dropped)

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        if self._output.is_full:
            self._dropped += len(lines)
            lines = []
        self._dropped += self._output.write("\n".join((*lines, "")))

    def _flush_later(self) -> None:
        if self._retry is not None:
            return
        with contextlib.suppress(RuntimeError):  # without an event loop, the next line tries again
            loop = asyncio.get_running_loop()
            self._retry = loop.call_later(RETRY_SECONDS, self._flush_again)

    def _flush_again(self) -> None:
        self._retry = None
        self.flush()

    def _finish(self) -> None:
        until = time.monotonic() + EXIT_SECONDS
        # First what waits: a full output would drop the last lines, which may say why the process
        # ends. The second time for the number of those that were dropped before.
        for _ in range(2):
            self._wait(until)
            self.flush()
        self._wait(until)

    def _wait(self, until: float) -> None:
        with self._lock:
            self._is_writing = True
            try:
                self._output.wait(until - time.monotonic())
            finally:
                self._is_writing = False

    # The methods that structlog calls.
    debug = info = write_soon
    warning = error = critical = write_now


def _is_unreported(record: logging.LogRecord) -> bool:
    """Whether no line of the worker reports the same, as `broker_connection_lost` does for each
    failure."""
    is_of_connection = record.name == "aiormq.connection"
    return not (is_of_connection and str(record.msg).startswith("error when creating transport"))


class _LibraryHandler(logging.Handler):
    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        self._writer.write_now(self.format(record))


def configure_logs(
    *,
    level: Level = "info",
    format: Format | None = None,  # noqa: A002
    sensitive_texts: SensitiveTexts = tuple,
    stream: TextIO | None = None,
) -> None:
    """Set up logging for this process. Calling it again replaces the earlier set-up.

    `format` None means `console` on a terminal, else `json`. `sensitive_texts()` is called for each
    line and returns the texts that must not show. Libraries log from WARNING on, at any `level`.
    """
    stream = stream or sys.stderr
    if format is None:
        format = "console" if stream.isatty() else "json"  # noqa: A001
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering = _rendering(format, LogRedaction(sensitive_texts))
    writer = LineWriter(stream)
    _configure_libraries(writer, [*common, structlog.stdlib.add_logger_name], rendering)
    structlog.configure(
        processors=[*common, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: writer,
        # Loggers are created at each use, so that calling this again takes effect.
        cache_logger_on_first_use=False,
    )


def _configure_libraries(
    writer: LineWriter, common: list[Processor], rendering: list[Processor]
) -> None:
    """Render log records and warnings of libraries as the worker's own lines."""
    handler = _LibraryHandler(writer)
    handler.addFilter(_is_unreported)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _rendering(format: Format, redaction: LogRedaction) -> list[Processor]:  # noqa: A002
    """The processors that turn an event into its line. Tracebacks show no local variables."""
    if format == "json":
        return [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            redaction,
            _order_fields,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    return [
        structlog.processors.format_exc_info,
        redaction,
        _escape_controls,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]


def _escape_controls(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {escape_controls(key): _shown(key, value) for key, value in event.items()}


def _shown(key: str, value: object) -> object:
    if isinstance(value, str):
        # A traceback keeps its lines.
        lines = value.split("\n") if key == "exception" else [value]
        return "\n".join(map(escape_controls, lines))
    # The repr of a list or dict escapes the texts in it.
    return value


def _to_json(event: EventDict, **_: object) -> str:
    try:
        return escape_json_controls(msgspec.json.encode(event, enc_hook=repr).decode())
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or more than 64 bits
        return json.dumps(event, default=repr)


def _order_fields(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    first = {key: event[key] for key in FIRST_FIELDS if key in event}
    return first | {key: value for key, value in event.items() if key not in first}
