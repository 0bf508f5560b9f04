"""The commands of a campaign, made from a seed: always the same commands in the same order."""

import uuid
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import msgspec

from recording_sandbox.model.meetings import participant_ids
from tests.fault.campaign_properties import hostile_properties
from tests.fault.run_record import REJECTED, SUCCEEDED

MEETINGS_AT_ONCE: Final = 20
SUCCEEDED_OR_REJECTED: Final = frozenset({"succeeded", "rejected"})


class PlannedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message to publish: a command, or raw `body` bytes. `about` holds fields of `Sent`.

    `sync_of` names a start: the command is about its recording, once that is known. `properties`
    are those of the AMQP message.
    """

    command: dict[str, Any] | None = None
    body: bytes = b""
    about: dict[str, Any] = {}
    sync_of: str | None = None
    properties: dict[str, Any] = {}


def plan_messages(seed: int, commands: int) -> list[PlannedMessage]:
    """This many messages, for as many meetings as needed. Several meetings are active at a time."""
    dice = Random(seed)
    planned: list[PlannedMessage] = []
    numbers = iter(range(commands))
    under_way = [_meeting(dice, next(numbers)) for _ in range(MEETINGS_AT_ONCE)]
    while len(planned) < commands:
        place = dice.randrange(MEETINGS_AT_ONCE)
        message = next(under_way[place], None)
        if message is None:
            under_way[place] = _meeting(dice, next(numbers))
        else:
            properties = hostile_properties(dice) if dice.random() < 0.3 else {}
            planned.append(msgspec.structs.replace(message, properties=properties))
    return planned


def _meeting(dice: Random, number: int) -> Iterator[PlannedMessage]:
    """One meeting from its first start to its last stop, repeats and nonsense included."""
    meeting = str(uuid.UUID(int=dice.getrandbits(128), version=4))
    kinds = dice.choices(
        (["track"], ["composite"], ["track", "composite"], ["track", "track"], ["composite"] * 2),
        (50, 20, 15, 10, 5),
    )[0]
    starts = [_start(dice, meeting, kind, f"{number}/{place}") for place, kind in enumerate(kinds)]
    conflict = kinds == ["composite"] * 2  # the second one is refused while the first one runs
    for start in starts:
        about = {
            "allowed": SUCCEEDED_OR_REJECTED,  # a stop may cancel it
            "reply_to": dice.random() < 0.2,
        }
        yield PlannedMessage(command=start, about=about)
        if dice.random() < 0.2:
            yield PlannedMessage(command=start, about={**about, "reply_to": dice.random() < 0.5})
    for start in starts:
        yield from _meanwhile(dice, meeting, start["id"])
    for start in starts:
        stop = {"type": "stop_recording", "id": f"{start['id']}/stop", "start_id": start["id"]}
        yield PlannedMessage(
            command=stop, about={"allowed": SUCCEEDED_OR_REJECTED if conflict else SUCCEEDED}
        )
        if dice.random() < 0.15:
            yield PlannedMessage(
                command=stop, about={"allowed": SUCCEEDED_OR_REJECTED if conflict else SUCCEEDED}
            )


def _start(dice: Random, meeting: str, kind: str, command_id: str) -> dict[str, Any]:
    command: dict[str, Any] = {"id": command_id, "meeting_id": meeting}
    if kind == "composite":
        return {"type": "start_recording", "max_seconds": 3600, **command}
    if dice.random() < 0.5:
        prefix = {"file_name_prefix": f"weekly_{dice.randrange(100)}", "media_kind": "audio"}
        command |= {"layers": {"default": prefix}}
    if dice.random() < 0.3:
        command |= _people(dice, meeting)
    return {"type": "start_track_recording", **command}


def _people(dice: Random, meeting: str) -> dict[str, Any]:
    """Two of the meeting's three participants, by their own ids, the API's, or one by each."""
    own, of_api = ["participant-1", "participant-2"], list(participant_ids(meeting, 2))
    return dice.choice(
        (
            {"custom_participant_ids": own},
            {"user_ids": of_api},
            {"custom_participant_ids": own[:1], "user_ids": of_api[1:]},
        )
    )


def _meanwhile(dice: Random, meeting: str, start: str) -> Iterator[PlannedMessage]:
    if dice.random() < 0.4:
        for action in ("pause", "resume"):
            yield _on(f"{action}_recording", f"{start}/{action}", start_id=start)
    if dice.random() < 0.2:
        sync = {"type": "sync_recording", "id": f"{start}/sync"}
        yield PlannedMessage(command=sync, about={"allowed": SUCCEEDED_OR_REJECTED}, sync_of=start)
    if dice.random() < 0.15:
        yield _on("stop_recording", f"{start}/stop-all", meeting_id=meeting)
    if dice.random() < 0.15:
        yield _nonsense(dice, f"{start}/bad")


def _on(command_type: str, command_id: str, **target: str) -> PlannedMessage:
    command = {"type": command_type, "id": command_id, **target}
    return PlannedMessage(command=command, about={"allowed": SUCCEEDED_OR_REJECTED})


def _nonsense(dice: Random, command_id: str) -> PlannedMessage:
    """Not a command: a dead letter, and also an outcome if the message has an id."""
    about: dict[str, Any] = {"is_command": False, "allowed": REJECTED, "starts": None}
    if dice.random() < 0.3:
        about["command_id"] = command_id
        return PlannedMessage(body=f"not JSON: {command_id}".encode(), about=about)
    meeting = str(uuid.UUID(int=dice.getrandbits(128), version=4))
    wrong: dict[str, Any] = dice.choice(
        (
            {"user_idz": ["misspelt"]},
            {"user_ids": [str(number) for number in range(101)]},
            {"meeting_id": "no uuid"},
            {"type": "start_the_kettle"},
        )
    )
    base = {"type": "start_track_recording", "id": command_id, "meeting_id": meeting}
    return PlannedMessage(command={**base, **wrong}, about=about)
