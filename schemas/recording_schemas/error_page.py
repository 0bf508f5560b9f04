"""Writes the reference page of the error codes from their table."""

from typing import Final

from recording_schemas.error_code import RESEND, ErrorCode, Place
from recording_schemas.error_codes import ERROR_CODES, codes_of

_PLACES: Final[dict[Place, str]] = {
    "rejected": "outcome `rejected`: `code`",
    "failed": "outcome `failed`: `last_error.code`",
    "errored": "`recording.status_changed.v1` with status ERRORED: `error.code`",
    "archive": "`recording.archive_failed.v1`, the manifest and `archive list`: `error.code`",
    "retry": "a copy in a retry queue: header `x-reason-code`",
}
_TITLES: Final[dict[Place, str]] = {
    "rejected": "Outcomes `rejected`: the command is wrong, or the API refused it permanently",
    "failed": "Outcomes `failed`: the command was right, and the worker gave up",
    "errored": "Recordings that end as ERRORED",
    "archive": "Files that are not archived",
    "retry": "Retries only: no outcome has these codes",
}
_INTRODUCTION: Final = """\
<!-- Generated from recording_schemas/error_codes.py. To change it: make schemas -->
# Error codes

This page says for every error code when it is sent, and what to do. It is for developers and
operators.

Programs may depend on a code: its meaning does not change. Later versions may add codes, so treat a
code that you do not know as permanent: do not retry. The `message` next to a code is for people: it
names the field, or has the API's own words. In outcomes it ends with the code's section on
this page, such as `(see docs/errors.md#not_found)`. Do not let a program read it.

- An outcome `rejected` has `code`, `message` and `field`, the place of the fault.
- An outcome `failed` has `last_error` with `code` and `message`. The worker gave up after
  `WORKER_COMMAND_MAX_AGE_SECONDS`, or after the shorter time that the code names.
- An outcome `expired` has no code: its `deadline` passed.
- A recording that ended as ERRORED has `error` with `code` and `message`, and so has a file that is
  not archived.
- A message in the dead-letter queue has the code in `x-reason-code`. If its id could be read, it
  has an outcome with the same code.

The `id` of a command is its idempotency key. After an outcome, every repeat of the `id` gets the
same outcome again, for any body. So a command that is to be tried again needs a new `id`.
In short:

| you have | send |
|---|---|
| no outcome yet | the same `id` with the same body, as often as you like |
| `rejected` | a corrected command with a new `id` |
| `failed` | the same command with a new `id`, if the code's section says so |
"""


def page() -> str:
    """The page as Markdown: one table for each place, then one section for each code."""
    tables = "\n".join(_table(place) for place in _TITLES)
    sections = "\n".join(_section(ERROR_CODES[code]) for code in sorted(ERROR_CODES))
    return f"{_INTRODUCTION}\n{tables}\n## Every code\n\n{sections}"


def _table(place: Place) -> str:
    codes = codes_of(place)
    if place == "retry":
        codes = [code for code in codes if ERROR_CODES[code].places == ("retry",)]
    rows = [f"| [`{code}`](#{code}) | {ERROR_CODES[code].when} |" for code in codes]
    return "\n".join([f"## {_TITLES[place]}", "", "| code | when |", "|---|---|", *rows, ""])


def _section(entry: ErrorCode) -> str:
    return "\n".join(
        [
            f"### {entry.code}",
            "",
            f"- **Sent in:** {'; '.join(_PLACES[place] for place in entry.places)}",
            f"- **When:** {entry.when}",
            f"- **What to do:** {entry.remedy}",
            f"- **Send the command again?** {RESEND[entry.resend]}",
            "",
        ]
    )
