"""The report: compares the sent commands and the API's facts with the published events.

Pure functions over recorded facts. docs/explanation/fault-tests.md explains each heading. A heading
that must be zero lists its violations as sentences.
"""

import msgspec

from tests.fault import guarantees
from tests.fault.guarantees import RANK
from tests.fault.published_events import PublishedEvents
from tests.fault.run_record import RunRecord

__all__ = ["RANK", "ReliabilityReport", "RunFigures", "report_lines", "report_on"]


class ReliabilityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result. The tuples of sentences must be empty."""

    attempted: int
    confirmed: int
    outcomes: int
    recordings: int
    transitions: int
    files: int
    events: int
    archived: int
    lost: tuple[str, ...]
    unarchived: tuple[str, ...]
    doubled: tuple[str, ...]
    archived_twice: tuple[str, ...]
    unexpected: tuple[str, ...]
    out_of_order: tuple[str, ...]
    duplicates: int

    @property
    def missing(self) -> tuple[str, ...]:
        """The violations that may disappear, because more events may arrive."""
        return self.lost + self.unarchived

    @property
    def violations(self) -> tuple[str, ...]:
        """Every sentence under a heading that must be zero."""
        return (
            *(f"lost: {violation}" for violation in self.lost),
            *(f"not archived: {violation}" for violation in self.unarchived),
            *(f"doubled: {violation}" for violation in self.doubled),
            *(f"archived twice: {violation}" for violation in self.archived_twice),
            *(f"unexpected: {violation}" for violation in self.unexpected),
            *(f"out of order: {violation}" for violation in self.out_of_order),
        )


class RunFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The faults that workers suffered, for the last lines of the report."""

    kills: int
    restarts: int
    seed: int | str
    freezes: int = 0


def report_on(facts: RunRecord) -> ReliabilityReport:
    """Compare the facts with the guarantees. Call it when everything has settled."""
    published = PublishedEvents(facts)
    events = [message for message in facts.received if message.exchange in {"status", "files"}]
    outcomes = [message for message in facts.received if message.exchange == "results"]
    return ReliabilityReport(
        attempted=len(facts.sent),
        confirmed=sum(message.confirmed for message in facts.sent),
        outcomes=len({message.message_id for message in outcomes}),
        recordings=len(facts.started),
        transitions=len(facts.transitions),
        files=len(facts.files),
        events=len({message.message_id for message in events}),
        archived=guarantees.count_archived(published),
        lost=(
            *guarantees.commands_without_outcome(facts, published),
            *guarantees.missing_replies(facts, published),
            *guarantees.missing_dead_letters(facts),
            *guarantees.unreported_recordings(facts, published),
            *guarantees.missing_sequence_numbers(published),
        ),
        doubled=(
            *guarantees.surplus_recordings(facts, published),
            *guarantees.recordings_sharing_a_start(published),
        ),
        unarchived=tuple(guarantees.unarchived_files(facts, published)),
        archived_twice=tuple(guarantees.files_archived_twice(published)),
        unexpected=(
            *published.undecodable,
            *guarantees.changed_event_bodies(facts),
            *guarantees.facts_with_two_ids(published),
            *guarantees.disallowed_outcomes(facts, published),
            *guarantees.events_of_unknown_origin(facts, published),
            *guarantees.wrongly_claimed_recordings(facts, published),
            *guarantees.requests_beyond_limit(facts),
        ),
        out_of_order=tuple(guarantees.events_out_of_order(published)),
        duplicates=sum(guarantees.repeated_events(facts).values()),
    )


def report_lines(found: ReliabilityReport, run: RunFigures) -> str:
    """The figures of a campaign, one per line, and below them each violation."""
    figures: list[tuple[str, object]] = [
        ("attempted", found.attempted),
        ("confirmed by the broker", found.confirmed),
        ("outcomes", found.outcomes),
        ("recordings started", found.recordings),
        ("transitions", found.transitions),
        ("files", found.files),
        ("events", found.events),
        ("archived files", found.archived),
        ("lost", len(found.lost)),
        ("lost archived files", len(found.unarchived)),
        ("doubled recordings", len(found.doubled)),
        ("doubled archived files", len(found.archived_twice)),
        ("unexpected", len(found.unexpected)),
        ("out of order", len(found.out_of_order)),
        ("duplicates with the same id", found.duplicates),
        ("kills", run.kills),
        ("restarts", run.restarts),
        ("freezes", run.freezes),
        ("seed", run.seed),
    ]
    lines = [f"{name:<28}{value:>10}" for name, value in figures]
    return "\n".join([*lines, *found.violations])
