"""What can go wrong, named by what the worker does about it.

    RecordingWorkerError
    ├── Refused             the API understood and said no      → outcome `rejected`, ACK
    │   ├── NotFound        404: it is not there
    │   └── Conflict        409: something stands in the way
    ├── Unavailable         surely not executed, may work later → release, RETRY
    │   ├── Throttled       429 or code 971
    │   ├── OverBudget      not sent: our own budget is spent
    │   └── Unauthorized    401, 403: our token, not the command
    ├── OutcomeUnknown      perhaps executed                    → RETRY, and look before calling
    ├── NotYet              the command came too early          → RETRY soon, for a bounded time
    ├── StoreUnavailable    nothing could be committed          → no acknowledgement
    ├── BrokerUnavailable   nothing could be published          → no acknowledgement
    ├── TopologyDiffers     the broker has something else       → the process ends, saying what
    ├── UntestedLibrary     an AMQP library has another version → the process ends, naming it
    └── WrongSettings       a variable is missing or wrong      → the process ends, naming each

Callers match classes, never status codes or texts.
"""

from collections.abc import Sequence


class RecordingWorkerError(Exception):
    """Everything this worker raises on purpose."""


class ApiError(RecordingWorkerError):
    """The remote API did not do as asked.

    `code` is a slug for machines, `message` is for people (the API's own words where it has some),
    `http_status` is None when no answer came.
    """

    def __init__(self, code: str, message: str, *, http_status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.http_status = http_status


class Refused(ApiError):
    """The API understood the request and will never accept it as it stands.

    `field` is the member at fault, as a dotted path, when one can be named.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        http_status: int | None = None,
        field: str | None = None,
    ) -> None:
        super().__init__(code, message, http_status=http_status)
        self.field = field


class NotFound(Refused):
    """What the request names does not exist at the API."""


class Conflict(Refused):
    """Something that exists stands in the way, e.g. a composite recording already runs."""


class Unanswered(ApiError):
    """There was no answer of use.

    `retry_after` is what the API asked for, in seconds, or None.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(code, message, http_status=http_status)
        self.retry_after = retry_after


class Unavailable(Unanswered):
    """The request was surely not executed and may work later."""


class Throttled(Unavailable):
    """Too many requests; nobody should call before `retry_after` has passed."""


class OverBudget(Unavailable):
    """The request was not sent, because our own budget of requests is spent for now.

    `retry_after` is when it is worth trying again, in seconds. Tells nothing of the API.
    """


class Unauthorized(Unavailable):
    """The API does not accept our token. No command is at fault; the token is read again."""


class OutcomeUnknown(Unanswered):
    """The request may have been executed: its answer was lost. Never repeat it blindly."""


class NotYet(RecordingWorkerError):
    """A command that cannot be executed yet: what it acts on is not there or not ready.

    `code` (`start_unknown`, `not_stoppable`, …) becomes the outcome's when the waiting ends.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class StoreUnavailable(RecordingWorkerError):
    """The state store did not commit."""


class BrokerUnavailable(RecordingWorkerError):
    """The broker did not confirm within the deadline, or there is no connection."""


class TopologyDiffers(RecordingWorkerError):
    """What exists on the broker is not what this worker needs; the text says what differs."""


class UntestedLibrary(RecordingWorkerError):
    """An installed AMQP library has a version that this worker was not tested with."""


class WrongSettings(RecordingWorkerError):
    """Settings that cannot work; `faults` has one sentence for each, naming the variable."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)
