"""Names in the archive: no value leaves its place, and no object replaces another."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_schemas import FileReady, Status, examples
from worker.domain.archive_keys import MAX_KEY_BYTES, MAX_PART_BYTES, KeyTemplate
from worker.domain.recording import Recording

DEFAULT = "{app}/{meeting_id}/{recording_id}/{file_name}"
EVERYTHING = (
    "{app}/{kind}/{date}/{meeting_id}/{user_id}/{custom_participant_id}/{recording_id}/{file_name}"
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILE = next(event for event in examples.EVENTS if isinstance(event, FileReady))
RECORDING = Recording(
    recording_id="r-1", app="eu", kind="composite", status=Status.UPLOADED, meeting_id="m-1"
)


def file(**fields: Any) -> FileReady:
    return msgspec.structs.replace(FILE, **fields)


def rendered(template: str, app: str = "eu", started: datetime | None = NOON, **fields: Any) -> str:
    return KeyTemplate.parse(template).render(app=app, file=file(**fields), started=started)


def test_a_name_has_the_values_of_its_placeholders() -> None:
    fields: dict[str, Any] = {"meeting_id": "m-1", "recording_id": "r-1", "file_name": "a b_1.webm"}
    people: dict[str, Any] = {
        "user_id": "u-1",
        "custom_participant_id": "alice@example.com",
        "kind": "track",
    }

    assert rendered(DEFAULT, **fields) == "eu/m-1/r-1/a b_1.webm"
    assert rendered(EVERYTHING, **fields, **people) == (
        "eu/track/2026-03-01/m-1/u-1/alice@example.com/r-1/a b_1.webm"
    )
    assert rendered("calls-{date}/{recording_id}-{kind}.{file_name}", **fields, **people) == (
        "calls-2026-03-01/r-1-track.a b_1.webm"
    )


def test_the_name_of_a_manifest_has_the_values_of_the_recording() -> None:
    template = KeyTemplate.parse_manifest("{app}/{kind}/{date}/{meeting_id}/{recording_id}.json")

    name = template.render(app="eu", file=RECORDING, started=NOON)

    assert name == "eu/composite/2026-03-01/m-1/r-1.json"


@pytest.mark.parametrize(
    ("hours", "day"), [(-10, "2026-03-02"), (0, "2026-03-01"), (10, "2026-02-28")]
)
def test_the_date_is_the_day_in_utc(hours: int, day: str) -> None:
    started = datetime(2026, 3, 1, 23 if hours <= 0 else 1, tzinfo=timezone(timedelta(hours=hours)))
    name = rendered("{date}/{recording_id}/{file_name}", started=started)

    assert name.partition("/")[0] == day


@pytest.mark.parametrize(("year", "hours"), [(1, 14), (9999, -14)])
def test_a_time_at_an_end_of_the_calendar_has_a_date(year: int, hours: int) -> None:
    at = datetime(year, 1 if year == 1 else 12, 1 if year == 1 else 31, 12, tzinfo=UTC)
    started = at.replace(tzinfo=timezone(timedelta(hours=hours)))

    name = rendered("{date}/{recording_id}/{file_name}", started=started)

    assert name.startswith(at.date().isoformat())


def test_a_value_that_is_null_or_empty_is_written_as_none() -> None:
    fields: dict[str, Any] = dict.fromkeys(("meeting_id", "user_id", "custom_participant_id"))

    name = rendered(EVERYTHING, started=None, recording_id="r-1", file_name="a.webm", **fields)

    assert name == "eu/track/none/none/none/none/r-1/a.webm"
    assert rendered(DEFAULT, app="", meeting_id="", recording_id="", file_name="") == "/".join(
        ["none"] * 4
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("..", "!2E!2E"),
        (".", "!2E"),
        ("...", "..."),
        (".hidden", ".hidden"),
        ("a/b", "a!2Fb"),
        ("../../etc/passwd", "..!2F..!2Fetc!2Fpasswd"),
        ("a\\b", "a!5Cb"),
        ("a!2Fb", "a!212Fb"),
        ("a\x00\r\nb", "a!00!0D!0Ab"),
        ("a\x85b\u202eb", "a!C2!85b!E2!80!AEb"),
        ("\udc80", "!ED!B2!80"),
        ('a:b*c?d"e<f>g|h', 'a:b*c?d"e<f>g|h'),
        ("100%.webm", "100%.webm"),
        ("{file_name}", "{file_name}"),
        ("Zoë 東京 🎙", "Zoë 東京 🎙"),
        ("none", "none"),
    ],
)
def test_a_value_stays_in_its_place(value: str, written: str) -> None:
    template = "{custom_participant_id}/{recording_id}/{file_name}"

    name = rendered(template, custom_participant_id=value, recording_id="r", file_name="a.webm")

    assert name == f"{written}/r/a.webm"


def test_values_that_are_joined_cannot_make_a_step_of_a_path() -> None:
    template = ".{user_id}/{user_id}{custom_participant_id}/{recording_id}/{file_name}"

    name = rendered(
        template, user_id=".", custom_participant_id=".", recording_id="r", file_name=".."
    )

    assert name == "!2E!2E/!2E!2E/r/!2E!2E"


@pytest.mark.parametrize("file_name", ["manifest.json", "MANIFEST.JSON", ".json", "a.json"])
def test_no_file_has_the_name_of_a_manifest(file_name: str) -> None:
    name = rendered("{recording_id}/{file_name}", recording_id="r-1", file_name=file_name)

    assert name == "r-1/" + file_name.replace(".", "!2E")


LONG = {"a": 1, "東": 3, "🎙": 4, "/": 3}
"""Characters, and how many bytes they have in a name."""


@pytest.mark.parametrize(
    ("custom_id", "written"),
    [("room#12", "room!2312"), ("#1", "!231"), ("a#1#2", "a#1!232"), ("#12a", "#12a")],
)
def test_no_file_has_the_name_of_an_unfinished_file(custom_id: str, written: str) -> None:
    template = "{recording_id}/{file_name}/{custom_participant_id}"

    assert rendered(template, custom_participant_id=custom_id).endswith(f"/{written}")


@pytest.mark.parametrize("character", LONG)
def test_a_long_file_name_is_shortened_and_keeps_its_beginning_and_its_extension(
    character: str,
) -> None:
    long = character * 300 + ".webm"

    part = rendered("{recording_id}/{file_name}", file_name=long).rpartition("/")[2]

    assert MAX_PART_BYTES - 4 <= len(part.encode()) <= MAX_PART_BYTES
    beginning, _, end = part.rpartition("!")
    assert len(end) == len("0123456789abcdef.webm")
    assert end.endswith(".webm")
    assert set(beginning) == {character} or beginning.replace("!2F", "") == ""


def test_a_name_that_just_fits_is_not_shortened() -> None:
    just = "x" * (MAX_PART_BYTES - 5) + ".webm"

    assert rendered("{recording_id}/{file_name}", recording_id="r", file_name=just) == f"r/{just}"
    assert "!" in rendered("{recording_id}/{file_name}", recording_id="r", file_name=f"x{just}")


def test_long_values_that_differ_at_their_ends_have_different_names() -> None:
    names = {
        rendered("{recording_id}/{file_name}", file_name="é" * 400 + end) for end in ("a", "b", "/")
    }

    assert len(names) == 3


def test_a_name_with_many_long_values_is_within_the_bound_and_keeps_uuids_whole() -> None:
    long: dict[str, Any] = dict.fromkeys(
        ("user_id", "custom_participant_id", "file_name"), "🎙" * 256
    )

    name = rendered(EVERYTHING, app="🎙" * 128, **long)

    assert len(name.encode()) <= MAX_KEY_BYTES
    assert FILE.recording_id in name.split("/")
    assert FILE.meeting_id in name.split("/")


TEXT = st.text(max_size=300) | st.sampled_from(["", ".", "..", "/", "../", "\\..\\", "\x00", "!"])


@given(
    app=TEXT,
    user_id=st.none() | TEXT,
    custom_id=st.none() | TEXT,
    meeting_id=st.none() | TEXT,
    file_name=TEXT,
    template=st.sampled_from([DEFAULT, EVERYTHING, ".{user_id}.{app}/{recording_id}{file_name}"]),
)
def test_every_name_has_the_parts_of_its_template_and_is_within_its_bounds(
    app: str,
    user_id: str | None,
    custom_id: str | None,
    meeting_id: str | None,
    file_name: str,
    template: str,
) -> None:
    fields: dict[str, Any] = {
        "user_id": user_id,
        "custom_participant_id": custom_id,
        "meeting_id": meeting_id,
    }

    name = rendered(template, app=app, file_name=file_name, **fields)

    parts = name.split("/")
    assert len(parts) == template.count("/") + 1
    assert not {"", ".", ".."} & set(parts)
    assert max(len(part.encode()) for part in parts) <= MAX_PART_BYTES + 2
    assert len(name.encode()) <= MAX_KEY_BYTES + 2
    assert not any(character < " " or character == "\\" for character in name)


@pytest.mark.parametrize(
    ("first", "second"),
    [("Weekly.webm", "weekly.webm"), ("caf\u00e9.webm", "cafe\u0301.webm")],
)
def test_names_that_differ_only_in_case_or_in_the_form_of_unicode_stay_different(
    first: str, second: str
) -> None:
    assert rendered(DEFAULT, file_name=first) != rendered(DEFAULT, file_name=second)


@given(first=TEXT, second=TEXT)
def test_two_files_never_get_the_same_key(first: str, second: str) -> None:
    names = {rendered(DEFAULT, file_name=file_name) for file_name in (first, second)}

    assert len(names) == len({first or "none", second or "none"})


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{recording_id}/{filename}", ["{filename}", "{file_name}", "{date}", "{app}"]),
        ("{recording_id}/{}", ["{}", "{file_name}"]),
        ("{recording_id}/{File_Name}", ["{File_Name}"]),
        ("{recording_id}/{" + "x" * 900 + "}", ["{" + "x" * 40 + "}"]),
        ("{recording_id}", ["{file_name}", "replaces"]),
        ("{file_name}", ["{recording_id}", "replaces"]),
        ("", ["slash"]),
        ("archive", ["{recording_id} and {file_name}"]),
        ("/{recording_id}/{file_name}", ["slash"]),
        ("{recording_id}/{file_name}/", ["slash"]),
        ("{recording_id}//{file_name}", ["empty part"]),
        ("../{recording_id}/{file_name}", ["`..`"]),
        ("{recording_id}/./{file_name}", ["`.`"]),
        ("{recording_id}/{file_name", ["single brace"]),
        ("{recording_id}/file_name}", ["single brace"]),
        ("{{recording_id}}/{file_name}", ["single brace"]),
        ("{recording_id}/{file_name:.3}", ["unknown placeholder"]),
        ("{recording_id}/a\\{file_name}", ["backslash"]),
        ("{recording_id}/a\n{file_name}", ["control characters"]),
        ("{recording_id}/!{file_name}", ["`!`"]),
        ("{recording_id}/{file_name}.json", ["`.json`"]),
        ("x" * 100 + "{recording_id}{app}{user_id}/{file_name}", ["240"]),
        ("/".join(["x" * 200] * 4) + "/{recording_id}/{file_name}", ["768"]),
    ],
)
def test_a_wrong_template_is_refused_with_the_reason(template: str, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"must|has|is too long") as refused:
        KeyTemplate.parse(template)

    assert all(word in str(refused.value) for word in words), refused.value
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("manifests/{meeting_id}.json", ["{recording_id}"]),
        ("{recording_id}/manifest.txt", ["`.json`"]),
        ("{recording_id}/{file_name}.json", ["{file_name}", "{kind}"]),
        ("{recording_id}/{user_id}.json", ["{user_id}"]),
    ],
)
def test_a_wrong_template_of_manifests_is_refused_with_the_reason(
    template: str, words: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"must|has|is too long") as refused:
        KeyTemplate.parse_manifest(template)

    assert all(word in str(refused.value) for word in words), refused.value
