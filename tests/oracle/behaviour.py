"""How the API of one history behaves. Where sources contradict each other, there is a switch."""

import random
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Behaviour:
    """The defaults are a well-behaved API, as documented. Times are seconds."""

    first_page: int = 1
    max_per_page: int = 100
    has_paging: bool = True
    list_lag: float = 0.0
    get_lag: float = 0.0
    people_lag: float = 0.0
    gap_chance: float = 0.0
    """How often the list of all meetings lacks a recording that it showed before.

    That of one meeting does not: a start without an answer would be repeated, as documented.
    """
    lagging_get: Literal["invoked", "not_found"] = "invoked"
    """What a GET shows of a recording that it does not show yet."""
    put_shows: Literal["before", "after"] = "after"
    track_answer: Literal["recording", "data"] = "recording"
    bare_answer: bool = False
    list_has_type: bool = True
    list_has_meeting: bool = True
    track_files: Literal["list", "links"] = "list"
    no_files: Literal["null", "list", "links"] = "null"
    files_spread: float = 0.0
    signs_each_time: bool = False
    """Whether each answer shows new download URLs."""
    double_start: Literal["refused", "allowed"] = "allowed"
    no_session_status: int = 400
    early_stop: Literal["refused", "accepted"] = "refused"
    late_stop_status: int = 400
    start_seconds: float = 0.4
    upload_seconds: float = 0.4
    skips: bool = False
    """Whether a stopped recording is UPLOADED at once."""
    zombie_chance: float = 0.0
    """How often a recording stays INVOKED until its session ends, or for ever."""
    late_start_chance: float = 0.0
    """How often a recording begins to record so late that the worker has given it up."""
    hidden_chance: float = 0.0
    """How often a recording is hidden from all answers for some seconds."""
    error_chance: float = 0.0
    trouble: float = 0.0
    """How often a request meets a fault of `request_faults`."""
    retry_after: float | None = None
    webhooks: Literal["none", "good", "bad"] = "none"
    short_webhooks: bool = False


def draw_behaviour(dice: random.Random) -> Behaviour:
    """A behaviour with about half of the switches turned."""
    return Behaviour(
        first_page=dice.choice((0, 1)),
        max_per_page=dice.choice((2, 3, 25, 100)),
        has_paging=dice.random() < 0.7,
        list_lag=dice.choice((0.0, 0.0, 0.5, 1.2)),
        get_lag=dice.choice((0.0, 0.0, 0.3, 0.8)),
        people_lag=dice.choice((0.0, 0.0, 0.5)),
        gap_chance=dice.choice((0.0, 0.0, 0.1)),
        lagging_get=dice.choice(("invoked", "not_found")),
        put_shows=dice.choice(("before", "after")),
        track_answer=dice.choice(("recording", "data")),
        bare_answer=dice.random() < 0.4,
        list_has_type=dice.random() < 0.5,
        list_has_meeting=dice.random() < 0.8,
        track_files=dice.choice(("list", "links")),
        no_files=dice.choice(("null", "list", "links")),
        files_spread=dice.choice((0.0, 0.0, 1.0, 2.5)),
        signs_each_time=dice.random() < 0.4,
        double_start=dice.choice(("refused", "allowed")),
        no_session_status=dice.choice((400, 404, 409)),
        early_stop=dice.choice(("refused", "refused", "accepted")),
        late_stop_status=dice.choice((200, 400, 404, 409)),
        start_seconds=dice.choice((0.1, 0.5, 1.2)),
        upload_seconds=dice.choice((0.1, 0.6, 1.5)),
        skips=dice.random() < 0.25,
        zombie_chance=dice.choice((0.0, 0.0, 0.0, 0.1)),
        late_start_chance=dice.choice((0.0, 0.0, 0.0, 0.1)),
        hidden_chance=dice.choice((0.0, 0.0, 0.2)),
        error_chance=dice.choice((0.0, 0.0, 0.1)),
        trouble=dice.choice((0.0, 0.05, 0.15, 0.3)),
        retry_after=dice.choice((None, 1.0, 2.0)),
        webhooks=dice.choice(("none", "good", "bad", "bad")),
        short_webhooks=dice.random() < 0.3,
    )
