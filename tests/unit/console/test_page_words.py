"""The page repeats lists of words, because a browser cannot import them."""

import json
import re
from pathlib import Path
from typing import get_args

from recording_schemas import COMMAND_TYPES, EVENT_TYPES, Outcome, Status
from worker.domain.recording import LIVE, STOPPABLE, RecordingEvent

STATIC = Path(__file__).parents[3] / "worker/console/static"


def test_the_page_offers_each_type_of_command() -> None:
    assert words("commands.js", "TYPES") == [*COMMAND_TYPES]


def test_the_page_offers_each_outcome() -> None:
    outcomes = {EVENT_TYPES[data].split(".")[1] for data in get_args(Outcome)}
    assert set(words("commands.js", "OUTCOMES")) == outcomes


def test_the_page_has_a_word_and_a_colour_for_each_status() -> None:
    assert keys("WORDS") == [*Status]
    assert set(keys("TONES")) >= set(Status)
    assert set(words("now.js", "LIVE")) == LIVE
    assert set(words("recording.js", "STOPPABLE")) == STOPPABLE


def test_the_timeline_of_a_recording_has_a_line_for_each_of_its_events() -> None:
    types = {EVENT_TYPES[data] for data in get_args(RecordingEvent)}
    lines = set(re.findall(r'event\.type === "([\w.]+)"', (STATIC / "recording.js").read_text()))
    # Statuses are a separate list: they are kept longer than their events.
    assert lines == types - {"recording.status_changed.v1"}


def words(file: str, name: str) -> list[str]:
    listed = re.search(rf"^const {name} = (\[.*?\]);", (STATIC / file).read_text(), re.MULTILINE)
    assert listed is not None
    found: list[str] = json.loads(listed[1])
    return found


def keys(name: str) -> list[str]:
    """The unquoted names in one object of format.js."""
    listed = re.search(
        rf"const {name} = \{{(.*?)\}};", (STATIC / "format.js").read_text(), re.DOTALL
    )
    assert listed is not None
    return re.findall(r"(\w+): ", listed[1])
