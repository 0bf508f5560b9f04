"""The results of scenarios as lines, tables and a plot."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.colors import OTHERS, OURS
from benchmarks.goals import Goal
from benchmarks.report import Table, goals_table, markdown, replace_section
from benchmarks.tracking.results import (
    MANY_LIVE,
    MAX_LIVE,
    QUOTA,
    QUOTA_SECONDS,
    Delays,
    LoadProfile,
    MassEnding,
    Scenario,
    ScenarioResult,
    TrackingResults,
)


def line(outcome: ScenarioResult) -> str:
    """A scenario in one line."""
    if outcome.mass:
        return f"{outcome.scenario.live} live, all end: " + ", ".join(_mass_row(outcome)[1:])
    status = outcome.status
    return (
        f"{outcome.scenario.label}, {outcome.scenario.live} live: {outcome.per_second:.2f} "
        f"requests/s, {outcome.breaches} breaches, {status.changes} changes published after "
        f"{_seconds(status.p50)} (p50), {_seconds(status.p99)} (p99), {status.missed} missed"
    )


def text(tracked: TrackingResults) -> str:
    """All tables, for people."""
    tables = (table(tracked), mass_table(tracked), goals_table(goals(tracked)))
    return "\n\n".join(markdown(part) for part in tables if len(part) > 1)


def table(tracked: TrackingResults) -> Table:
    """A row for each scenario."""
    head = (
        "live", "how", "requests/s", "most in 5 min", "breaches", "status p50 · p99",
        "all files p50 · p99", "changes missed", "many changes p50 · p99",
        "can finish an hour, at least", "CPU %", "MB a process", "ready after kill -9",
        "requests in all",
    )  # fmt: skip
    rows = [
        (
            f"{outcome.scenario.live:,}",
            outcome.scenario.label,
            f"{outcome.per_second:.2f}",
            f"{outcome.busiest:,}",
            str(outcome.breaches),
            _spread(outcome.status),
            _spread(outcome.files),
            f"{outcome.status.missed} of {outcome.status.changes}",
            f"{_spread(outcome.burst)} at {outcome.burst_changes:g}/s" if outcome.burst else "",
            f"{outcome.finished_per_hour:,.0f}" if outcome.scenario.replicas else "",
            f"{outcome.cpu * 100:.1f}",
            f"{outcome.rss / 2**20:.0f}",
            "" if outcome.ready_seconds is None else _seconds(outcome.ready_seconds),
            _in_all(outcome.requests),
        )
        for outcome in tracked.outcomes
        if not outcome.mass
    ]
    return [head, *rows]


def mass_table(tracked: TrackingResults) -> Table:
    """A row for each scenario in which all recordings end."""
    head = (
        "live", "how", "UPLOADED p50 · p99 · last", "never published", "requests/s", "breaches",
        "completed", "overtaken by", "reads each", "the last `completed`", "stops p50 · last",
    )  # fmt: skip
    return [head, *(_mass_row(outcome) for outcome in tracked.outcomes if outcome.mass)]


def _mass_row(outcome: ScenarioResult) -> tuple[str, ...]:
    mass = outcome.mass
    if mass is None:
        return ()
    return (
        f"{outcome.scenario.live:,}",
        outcome.scenario.label,
        f"{_spread(mass.uploaded)} · {_seconds(mass.uploaded.most)}",
        f"{mass.uploaded.missed} of {mass.ended:,}",
        f"{mass.per_second:.2f}",
        str(outcome.breaches),
        f"{mass.completed:,} of {mass.ended:,} in {mass.seconds:.0f} s",
        "" if math.isnan(mass.overtaken) else _seconds(mass.overtaken),
        f"{mass.reads_each:.2f}",
        _last_completed(mass),
        f"{_seconds(mass.stops.p50)} · {_seconds(mass.stops.most)}",
    )


def _last_completed(mass: MassEnding) -> str:
    """When the last recording was completed, and the reason."""
    if mass.completed == mass.ended:
        why = f"{mass.reads:,} reads" if mass.reads else "no reads"
        return f"after {mass.last_completed:.0f} s, with {why}"
    if not mass.completed:
        return "not known: none was completed"
    return (
        f"expected after {mass.expected_last:,.0f} s: {mass.reads_left:,} reads are left, and the "
        f"budget lets {mass.per_second:.2f} requests a second through"
    )


def goals(tracked: TrackingResults) -> list[Goal]:
    """The goals for 10,000 and more live recordings, and for storms."""
    found: list[Goal] = []
    for outcome in tracked.outcomes:
        is_large = outcome.scenario.live >= MANY_LIVE or outcome.scenario.storm_seconds is not None
        if outcome.scenario.replicas and is_large:
            found += _of_mass(outcome, outcome.mass) if outcome.mass else _of(outcome)
    return found


def _of_mass(outcome: ScenarioResult, mass: MassEnding) -> Iterator[Goal]:
    subject = f"{outcome.scenario.live:,}, {outcome.scenario.label}, all end"
    rate = outcome.busiest / QUOTA_SECONDS
    yield Goal(name=f"{subject}: requests in any 5 minutes", figure=rate, most=4.0, unit="/s")
    yield Goal(name=f"{subject}: breaches", figure=outcome.breaches, most=0, unit="")
    yield Goal(
        name=f"{subject}: ends never published", figure=mass.uploaded.missed, most=0, unit=""
    )
    if outcome.scenario.storm_seconds is None:
        most = 1.0 if outcome.scenario.webhooks else 120.0
        yield Goal(name=f"{subject}: UPLOADED p99", figure=mass.uploaded.p99, most=most, unit="s")
    yield Goal(name=f"{subject}: slowest stop", figure=mass.stops.most, most=1.0, unit="s")


def _of(outcome: ScenarioResult) -> Iterator[Goal]:
    subject = f"{outcome.scenario.live:,}, {outcome.scenario.label}"
    is_most = outcome.scenario.live >= MAX_LIVE
    rate = outcome.busiest / QUOTA_SECONDS
    yield Goal(name=f"{subject}: requests in any 5 minutes", figure=rate, most=4.0, unit="/s")
    yield Goal(name=f"{subject}: breaches", figure=outcome.breaches, most=0, unit="")
    missed = outcome.status.missed + outcome.files.missed
    yield Goal(name=f"{subject}: changes never published", figure=missed, most=0, unit="")
    if outcome.burst is not None:
        late, most = outcome.burst.p99 * 1000, 50.0 if is_most else 250.0
        name = f"{subject}: status p99 at {outcome.burst_changes:g} changes/s"
        yield Goal(name=name, figure=late, most=most, unit="ms")
    elif is_most:
        yield Goal(
            name=f"{subject}: slowest status", figure=outcome.status.most, most=600.0, unit="s"
        )
    else:
        yield Goal(name=f"{subject}: status p99", figure=outcome.status.p99, most=120.0, unit="s")
    memory, most = outcome.rss / 2**20, 250.0 if is_most else 150.0
    yield Goal(name=f"{subject}: memory a worker", figure=memory, most=most, unit="MB")
    if is_most:
        yield Goal(
            name=f"{subject}: CPU of all workers", figure=outcome.cpu * 100, most=25.0, unit="%"
        )
    if outcome.ready_seconds is not None:
        name = f"{subject}: ready after kill -9"
        yield Goal(name=name, figure=outcome.ready_seconds, most=2.0, unit="s")


def write(tracked: TrackingResults, page: Path) -> None:
    """Update the sections of the page for which there are figures, and the plot."""
    for is_mass, section in ((False, _steady_section), (True, _mass_section)):
        outcomes = [
            outcome for outcome in tracked.outcomes if (outcome.mass is not None) == is_mass
        ]
        if outcomes:
            part = TrackingResults(profile=tracked.profile, outcomes=outcomes)
            name = "endings" if is_mass else "tracking"
            replace_section(page, name, "make bench-tracking", section(part, page))


def _steady_section(tracked: TrackingResults, page: Path) -> str:
    picture = page.parent / "performance" / "tracking.svg"
    plot(tracked, picture)
    parts = (
        _setting(tracked.profile),
        markdown(table(tracked)),
        f"![Delay and requests by live recordings](performance/{picture.name})",
        "### Goals for following",
        markdown(goals_table(goals(tracked))),
    )
    return "\n\n".join(parts)


def _mass_section(tracked: TrackingResults, _page: Path) -> str:
    parts = (
        _mass_setting(tracked.profile),
        markdown(mass_table(tracked)),
        markdown(goals_table(goals(tracked))),
    )
    return "\n\n".join(parts)


def _setting(profile: LoadProfile) -> str:
    return (
        f"The emulated API blocks every call for five minutes after more than {QUOTA:,} in "
        f"{QUOTA_SECONDS} s. The workers adopt recordings that others started from the list. For "
        f"{profile.seconds:g} s, {profile.ends:g} recordings a second end at random. An upload "
        f"takes {profile.upload_seconds:g} s and leaves three files. A delay begins with the API's "
        "own change and ends with the event at a subscriber. A finished recording costs one "
        "request for its files, and a second one if the API does not say whose they are. The "
        "column *can finish an hour* divides the budget that sweeps leave by these requests. If "
        "many recordings wait, more can finish, because sweeps then become rarer. More than "
        f"{MANY_LIVE:,} recordings are adopted before the API has limits. Then all workers are "
        "killed and start again, and the measurement begins."
    )


def _mass_setting(profile: LoadProfile) -> str:
    return (
        f"All recordings end at random moments within {profile.mass_seconds:g} s, or in a storm "
        f"within the seconds of the row. Events are awaited for {profile.mass_drain_seconds:g} s "
        "more. *Reads* are requests for single recordings. A track recording needs two for its "
        "files, one of them for the participants of its session. A composite needs none if the "
        "list or a webhook shows its files. *Overtaken by*: a recording was completed before "
        "another one that had ended earlier, by at most this many seconds."
    )


def plot(tracked: TrackingResults, path: Path) -> None:
    """Delay, and requests a second, against live recordings."""
    from benchmarks.plots import drawing  # matplotlib takes a second to import

    outcomes = [outcome for outcome in tracked.outcomes if not outcome.mass]
    labels = list(dict.fromkeys(outcome.scenario.label for outcome in outcomes))
    with drawing(path, 2) as (delay, rate):
        for label in labels:
            same = [outcome for outcome in outcomes if outcome.scenario.label == label]
            live = [outcome.scenario.live for outcome in same]
            style, color = _look(same[0].scenario)
            late = [
                outcome.status.p99 if not outcome.status.missed else math.nan for outcome in same
            ]
            delay.plot(live, late, style, color=color, marker="o")
            asked = [outcome.per_second for outcome in same]
            rate.plot(live, asked, style, color=color, marker="o", label=label)
        for axes, title in ((delay, "p99 to the event, s"), (rate, "API requests a second")):
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xlabel("live recordings")
            axes.set_title(title, fontsize=9)
        rate.axhline(QUOTA / QUOTA_SECONDS, color="black", linewidth=0.5)
        rate.legend(fontsize=7, loc="center", bbox_to_anchor=(0.5, 0.8))


def _look(scenario: Scenario) -> tuple[str, str]:
    """Line style and colour."""
    if not scenario.replicas:
        return ":", OTHERS
    return "-" if scenario.webhooks else "--", OURS if scenario.replicas == 1 else "#0f766e"


def _spread(delays: Delays) -> str:
    return f"{_seconds(delays.p50)} · {_seconds(delays.p99)}"


def _in_all(requests: Mapping[str, int]) -> str:
    each = ", ".join(f"{count:,} {name}" for name, count in requests.items())
    return f"{sum(requests.values()):,}: {each}"


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "never"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
