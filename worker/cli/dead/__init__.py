"""`recording-worker dead`: commands that could not be executed."""

from worker.cli.dead.commands import command

__all__ = ["command"]
