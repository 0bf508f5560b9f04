"""Logs unexpected errors. External data may cause them each time, so they must not end the
worker."""

import traceback

import structlog


def log_unexpected(event: str, error: Exception) -> None:
    """Log where the error was raised, but not its text, which may contain a URL with its
    signature."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    structlog.get_logger().error(
        event, error=type(error).__name__, raised_at=f"{frame.filename}:{frame.lineno}"
    )
