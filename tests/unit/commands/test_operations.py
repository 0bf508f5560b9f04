"""Every command that can be decoded has an operation."""

from recording_schemas import COMMAND_TYPES
from worker.commands.operations import OPERATIONS


def test_every_command_has_an_operation() -> None:
    assert set(OPERATIONS) == set(COMMAND_TYPES.values())
