"""How the emulated API says no."""


class Refusal(Exception):
    """The request is answered with `status` and the vendor's error envelope around `message`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class NotFound(Refusal):
    """404: the thing that the path names does not exist."""

    def __init__(self, what: str) -> None:
        super().__init__(404, f"NOT_FOUND: {what} not found")
