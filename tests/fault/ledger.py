"""The accounting: what was asked and what the API did, against what subscribers were told.

Pure functions over recorded facts. docs/reliability.md says what each heading means; a heading
that must be zero lists its violations as sentences.
"""

import msgspec

from tests.fault import checks
from tests.fault.checks import RANK
from tests.fault.facts import Facts
from tests.fault.told import Told

__all__ = ["RANK", "Account", "Run", "account", "closing_lines"]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What it comes to. The four tuples of sentences must be empty."""

    attempted: int
    confirmed: int
    outcomes: int
    recordings: int
    transitions: int
    files: int
    events: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    unexpected: tuple[str, ...]
    out_of_order: tuple[str, ...]
    duplicates: int

    @property
    def violations(self) -> tuple[str, ...]:
        """Every sentence under a heading that must be zero."""
        return (
            *(f"lost: {one}" for one in self.lost),
            *(f"doubled: {one}" for one in self.doubled),
            *(f"unexpected: {one}" for one in self.unexpected),
            *(f"out of order: {one}" for one in self.out_of_order),
        )


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to the workers, for the closing lines."""

    kills: int
    restarts: int
    seed: int | str


def account(facts: Facts) -> Account:
    """Hold the facts against the guarantees. To be called when everything has settled."""
    told = Told(facts)
    events = [one for one in facts.received if one.exchange in {"status", "files"}]
    outcomes = [one for one in facts.received if one.exchange == "results"]
    return Account(
        attempted=len(facts.sent),
        confirmed=sum(one.confirmed for one in facts.sent),
        outcomes=len({one.message_id for one in outcomes}),
        recordings=len(facts.started),
        transitions=len(facts.transitions),
        files=len(facts.files),
        events=len({one.message_id for one in events}),
        lost=(
            *checks.commands_without_outcome(facts, told),
            *checks.replies_missing(facts),
            *checks.dead_letters_missing(facts),
            *checks.recordings_not_told(facts, told),
            *checks.gaps(told),
        ),
        doubled=(*checks.too_many_recordings(facts, told), *checks.shared_starts(told)),
        unexpected=(
            *told.undecodable,
            *checks.ids_with_other_bytes(facts),
            *checks.facts_with_two_ids(told),
            *checks.outcomes_not_allowed(facts, told),
            *checks.of_unknown_origin(facts, told),
            *checks.claims_of_others(facts, told),
            *checks.too_many_requests(facts),
        ),
        out_of_order=tuple(checks.disorder(told)),
        duplicates=sum(checks.repeats(facts).values()),
    )


def closing_lines(found: Account, run: Run) -> str:
    """The figures a campaign ends with, one a line, and below them each violation."""
    figures: list[tuple[str, object]] = [
        ("attempted", found.attempted),
        ("confirmed by the broker", found.confirmed),
        ("outcomes", found.outcomes),
        ("recordings started", found.recordings),
        ("transitions", found.transitions),
        ("files", found.files),
        ("events", found.events),
        ("lost", len(found.lost)),
        ("doubled recordings", len(found.doubled)),
        ("unexpected", len(found.unexpected)),
        ("out of order", len(found.out_of_order)),
        ("duplicates with the same id", found.duplicates),
        ("kills", run.kills),
        ("restarts", run.restarts),
        ("seed", run.seed),
    ]
    lines = [f"{name:<28}{value:>10}" for name, value in figures]
    return "\n".join([*lines, *found.violations])
