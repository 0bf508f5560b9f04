"""Log lines: ours and the libraries' look alike, and no secret is in either.

Event names are stable ids (`command_done`), facts are fields. Lines go to stderr. Ours go there
without the detour over the standard library's loggers, which cost more than all else of a line.
"""

import asyncio
import atexit
import contextlib
import json
import logging
import re
import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Final, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Sensitive = Callable[[], Iterable[str]]
Level = Literal["debug", "info", "warning", "error"]

# A shorter one would be cut out of innocent words.
SHORTEST_SENSITIVE: Final = 6
_QUERY = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?\"'<>]+)\?[^\s\"'<>]+", re.IGNORECASE)
_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]+@", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w+/=.~-]{16,}", re.IGNORECASE)
_HARMLESS: Final = frozenset({type(None), bool, int, float})


class Lines:
    """Writes whole lines in their order, from whichever thread.

    Those up to `info` that a loop's turn brings are written at once at its end: commands end many
    at a time. One that cannot be written is lost: nobody who logs can do anything about a reader
    that is gone or a disk that is full.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._turn = Lock()
        self._waiting: list[str] = []
        atexit.register(self.write)  # a loop that ends leaves its last turn's

    def msg(self, line: str) -> None:
        """Write a line, which is without its end, and all that wait."""
        self._add(line)
        self.write()

    def later(self, line: str) -> None:
        """Have a line written soon."""
        if self._add(line) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.write)
            except RuntimeError:
                self.write()

    def _add(self, line: str) -> int:
        with self._turn:  # else it could join those that are being written, and be lost
            self._waiting.append(line)
            return len(self._waiting)

    def write(self) -> None:
        """Write all that wait."""
        with self._turn, contextlib.suppress(OSError, ValueError):
            lines, self._waiting = self._waiting, []
            if lines:
                self._stream.write("\n".join((*lines, "")))
                self._stream.flush()

    debug = info = later
    warning = error = critical = msg


class _LibraryLines(logging.Handler):
    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.msg(self.format(record))


def configure_logs(
    *,
    level: Level = "info",
    format: Literal["json", "console"] | None = None,  # noqa: A002
    sensitive: Sensitive = tuple,
    stream: TextIO | None = None,
) -> None:
    """Set up logging for this process; calling it again replaces what was set up.

    `format` None means `console` on a terminal, else `json`. `sensitive()` is asked at every line
    for texts that must not show. Libraries are heard from WARNING on, whatever the level.
    """
    stream = stream or sys.stderr
    if format is None:
        format = "console" if stream.isatty() else "json"  # noqa: A001
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    shown = _shown(format, Redaction(sensitive))
    lines = Lines(stream)
    _hear_libraries(lines, [*before, structlog.stdlib.add_logger_name], shown)
    structlog.configure(
        processors=[*before, *shown],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        # Loggers are asked for at their use, so that a later call of this takes effect.
        cache_logger_on_first_use=False,
    )


def _hear_libraries(lines: Lines, before: list[Processor], shown: list[Processor]) -> None:
    """Have what libraries log, and warnings, shown as our own lines are."""
    handler = _LibraryLines(lines)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *shown],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


def _shown(format: Literal["json", "console"], redact: "Redaction") -> list[Processor]:  # noqa: A002
    """From a finished event to its line. Tracebacks show no local variables."""
    if format == "json":
        return [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            redact,
            _familiar_first,
            structlog.processors.JSONRenderer(serializer=_as_json),
        ]
    return [
        structlog.processors.format_exc_info,
        redact,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]


def _as_json(event: EventDict, **_: object) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or more than 64 bits
        return json.dumps(event, default=repr)


def _familiar_first(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return first | {key: value for key, value in event.items() if key not in first}


class Redaction:
    """A processor that cuts secrets out of every text of an event, however deep it sits.

    What is cut: the texts that `sensitive()` names, passwords and query strings of URLs (a
    presigned URL's query is a credential), and what follows `Bearer`. A defence in depth: nothing
    should get here that needs it.
    """

    def __init__(self, sensitive: Sensitive) -> None:
        self._sensitive = sensitive
        self._held: tuple[str, ...] = ()
        self._ordered: list[str] = []

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """The event without them."""
        held = tuple(self._sensitive())
        if held != self._held:
            texts = {form for text in held for form in (text, repr(text)[1:-1])}
            texts = {text for text in texts if len(text) >= SHORTEST_SENSITIVE}
            # The longest first, else a part of it would be cut and the rest would show.
            self._held, self._ordered = held, sorted(texts, key=len, reverse=True)
        ordered = self._ordered
        return {
            key: value if type(value) in _HARMLESS else _cleaned(value, ordered)
            for key, value in event.items()
        }


def _cleaned(value: object, sensitive: list[str]) -> object:
    if isinstance(value, str):
        return redact_text(value, sensitive)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {
            redact_text(str(key), sensitive): _cleaned(one, sensitive) for key, one in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned(one, sensitive) for one in value]
    return redact_text(str(value), sensitive)


def redact_text(text: str, sensitive: Iterable[str] = ()) -> str:
    """The text without the sensitive ones, and without credentials that are known by their form."""
    for one in sensitive:
        text = text.replace(one, "[secure]")
    # Most texts are names and ids: what cannot match is found out for a tenth of the price.
    if "://" in text:
        text = _PASSWORD.sub(r"\1:***@", text)
        text = _QUERY.sub(r"\1?…", text)
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered:
        text = _BEARER.sub(r"\1 [secure]", text)
    return text
