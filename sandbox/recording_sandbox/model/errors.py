"""Refusals of the emulated API."""


class Refusal(Exception):
    """The request fails with `status`; `message` goes into the API's error envelope."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class NotFound(Refusal):
    """404: there is no such `resource`, e.g. "recording"."""

    def __init__(self, resource: str) -> None:
        super().__init__(404, f"NOT_FOUND: {resource} not found")
