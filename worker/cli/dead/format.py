"""Dead letters on the terminal and in the pipe."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import click
import msgspec

from worker.cli.dead.letter import DeadLetterView, Row, row
from worker.cli.output import print_json, print_rows, printable

COLUMNS: Final = {
    "#": "position",
    "letter": "letter",
    "type": "command_type",
    "reason": "reason_code",
    "tries": "attempts",
    "first": "first",
    "last": "last",
    "replays": "replays",
}


def teller(*, as_json: bool) -> Callable[[Row], None]:
    """Prints what was done to one letter."""

    def tell(one: Row) -> None:
        words = [_RESULTS[str(one["result"])], one["command_type"], one["letter"]]
        words += [f"({one['reason_code']})", one.get("detail")]
        if one.get("new_command_id"):
            words.append(f"as {one['new_command_id']}")
        click.echo(printable(" ".join(str(word) for word in words if word)))

    return print_json if as_json else tell


_RESULTS: Final = {
    "replayed": "Replayed",
    "would_replay": "Would replay",
    "refused": "Not replayed",
    "dropped": "Dropped",
    "would_drop": "Would drop",
}


def print_letters(found: Sequence[DeadLetterView], *, as_json: bool) -> None:
    """A row for each."""
    if as_json:
        print_rows({}, [row(one) for one in found], as_json=True)
    else:
        print_rows(COLUMNS, [_for_people(one) for one in found], as_json=False)


def _for_people(one: DeadLetterView) -> Row:
    burial = one.letter.reason
    return {**row(one), "first": _local(burial.first_seen), "last": _local(burial.last_seen)}


def _local(moment: datetime | None) -> str | None:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else None


def print_told(told: Row) -> None:
    """One member a line, then the body as it can be read best."""
    body, encoding = told.pop("body"), told.pop("body_encoding")
    for name, value in told.items():
        if value is not None:
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            click.echo(f"{name}: {printable(text)}")
    click.echo(f"body ({encoding}):")
    text = _pretty(body) if encoding == "json" else str(body)
    for line in text.splitlines():
        click.echo(f"  {printable(line)}")


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
