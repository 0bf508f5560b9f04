"""Whether recording-worker is installed in the same environment."""

import importlib.metadata

from recording_sandbox.services.processes import LaunchError


def require_worker() -> None:
    """Raises LaunchError if it is not. Call it before `background_worker` is imported."""
    try:
        importlib.metadata.version("recording-worker")
    except importlib.metadata.PackageNotFoundError as error:
        raise LaunchError(
            "the fixture recording_worker needs recording-worker, which is not installed: "
            "pip install recording-worker"
        ) from error
