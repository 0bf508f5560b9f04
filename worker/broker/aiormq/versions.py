"""The versions of the AMQP libraries whose internals the worker was tested with."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from worker.domain.errors import UntestedLibrary

TESTED_SERIES: Final = {"aio-pika": "10.2", "aiormq": "7.2", "pamqp": "4.0"}
"""Major and minor version of each library. `pyproject.toml` has the same bounds."""


def check_versions(installed: Callable[[str], str] = version) -> None:
    """Raise UntestedLibrary if an installed library has another major or minor version.

    A newer version may change what this package depends on, and lose messages without an error.
    """
    for library, series in TESTED_SERIES.items():
        found = installed(library)
        if not f"{found}.".startswith(f"{series}."):
            raise UntestedLibrary(
                f"{library} {found} is installed, but this worker was tested with {series}.x only. "
                f'Run: pip install "{library}~={series}.0"'
            )
