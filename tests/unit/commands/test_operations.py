"""Every command that can be decoded can be executed."""

from recording_schemas import COMMAND_TYPES
from worker.commands.operations import HANDLERS


def test_every_command_has_a_handler() -> None:
    assert set(HANDLERS) == set(COMMAND_TYPES.values())
