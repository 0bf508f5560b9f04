"""`recording-worker demo`: a whole meeting recorded on one machine, to watch and to check."""

from sandbox.demo.cli import demo

__all__ = ["demo"]
