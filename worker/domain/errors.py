"""All errors that the worker raises on purpose. The class of an error decides what happens next.

    RecordingWorkerError
    ├── ApiError
    │   ├── Refused            the API refuses permanently  → outcome `rejected`, acknowledge
    │   │   ├── NotFound       404: it does not exist
    │   │   └── Conflict       409: something prevents it
    │   └── Unanswered         no usable answer
    │       ├── Unavailable    not executed, or repeatable  → retry later
    │       │   ├── AnswerLost     perhaps executed, repeatable
    │       │   ├── Throttled      429 or code 971
    │       │   ├── OverBudget     our own budget is spent
    │       │   ├── LeaseLost      another replica may have the command
    │       │   ├── DeadlinePassed the command's deadline passed before the call
    │       │   ├── RefusedForNow  403, 429 of the product: this request alone
    │       │   └── Unauthorized   401, 403 of the gateway: our token
    │       └── OutcomeUnknown perhaps executed             → look before the retry
    │           └── NothingFound   looked, and found nothing    → look again, until it is certain
    ├── NotYet                 the command came too early   → retry soon, for a bounded time
    │   ├── StartUnknown       no start with its id yet     → park a stop, retry others later
    │   ├── Contradicted       listed, but answered by 404  → retry soon, after 30 s more rarely
    │   └── NoSession          its meeting has not begun    → park it until then
    ├── StoreUnavailable       nothing was committed        → do not acknowledge
    ├── BrokerUnavailable      nothing was confirmed        → do not acknowledge
    │   ├── MessageRefused     a queue did not take it      → this message later
    │   ├── NotConfirmed       perhaps a queue took it      → this message later
    │   ├── NotTried           others cost the channel      → this message later
    │   ├── LostInFlight       no reason was given          → publish singly if it happens again
    │   ├── ChannelLost        it may have cost the channel → publish such messages singly
    │   └── MessageUnsendable  AMQP cannot hold it          → never
    ├── TopologyDiffers        the broker does not match    → the process ends and says why
    ├── UntestedLibrary        another AMQP library         → the process ends and says why
    └── WrongSettings          settings cannot work         → the process ends and names each one

Callers match classes, never status codes or texts. The archive's own errors are in
`worker/archive/errors.py`.
"""

from collections.abc import Sequence


class RecordingWorkerError(Exception):
    """The base of all errors that the worker raises on purpose."""


class ApiError(RecordingWorkerError):
    """The API did not do what the request asked for.

    `code` is a slug for programs. `message` is for users, with the API's own text if there is one.
    `http_status` is None if there was no answer.
    """

    def __init__(self, code: str, message: str, *, http_status: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.http_status = http_status


class Refused(ApiError):
    """The API understood the request and will never accept it as it stands.

    `field` is the dotted path of the wrong field, None if no single field is wrong.
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
    """The API does not have the recording, meeting or session that the request names."""


class Conflict(Refused):
    """Something else prevents the request, for example a composite recording that already runs."""


class Unanswered(ApiError):
    """There was no usable answer.

    `retry_after` is the pause that the API asked for, in seconds, or None.
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
    """The request may succeed later. It was certainly not executed, unless this is `AnswerLost`."""


class AnswerLost(Unavailable):
    """The request may have been executed, and may be sent again: twice has the effect of once."""


class Throttled(Unavailable):
    """The API received too many requests. Send none before `retry_after` has passed."""


class RefusedForNow(Unavailable):
    """The API answered that it does not execute this request for now.

    `code` is `capacity`, for a limit such as that of concurrent recordings, `forbidden`, or
    `unexpected_status`, if a gateway may have answered. Other requests may succeed meanwhile.
    """


class OverBudget(Unavailable):
    """The request was not sent, because our own request budget is spent for now.

    `retry_after` is the pause until another try makes sense, in seconds. This error says nothing
    about the state of the API.
    """


class LeaseLost(Unavailable):
    """The request was not sent, because this replica's claim to the command has run out.

    Another replica may have taken the command over. This error says nothing about the state of the
    API.
    """


class DeadlinePassed(Unavailable):
    """The request was not sent, because the deadline of its command has passed.

    This error says nothing about the state of the API.
    """

    def __init__(self) -> None:
        super().__init__("too_old", "the deadline passed before the request was sent")


class Unauthorized(Unavailable):
    """The API does not accept our token. The command is not at fault; the token is read again."""


class OutcomeUnknown(Unanswered):
    """The answer was lost, so the request may have been executed. Never repeat it blindly."""


class NothingFound(OutcomeUnknown):
    """The API's list was read completely, and it has no recording of an earlier call yet."""

    def __init__(self) -> None:
        super().__init__(
            "start_unconfirmed", "an earlier call may still turn out to have been executed"
        )


class NotYet(RecordingWorkerError):
    """The command cannot be executed yet, because its recording does not exist or is not ready.

    `code` (`start_unknown`, `not_stoppable`, …) becomes the code of the outcome when the wait is
    over.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class StartUnknown(NotYet):
    """The start that the command names has not arrived. It may not exist."""

    def __init__(self, start_id: str) -> None:
        super().__init__("start_unknown", f"no start command {start_id!r} has been executed")
        self.start_id = start_id


class Contradicted(NotYet):
    """The API lists the recording as live, and answers 404 for it."""


class NoSession(NotYet):
    """The meeting of a start has no live session, and the start waits for one."""

    def __init__(self, meeting_id: str) -> None:
        super().__init__("no_session", f"meeting {meeting_id} has no live session")
        self.meeting_id = meeting_id


class StoreUnavailable(RecordingWorkerError):
    """The store did not commit."""


class BrokerUnavailable(RecordingWorkerError):
    """The broker did not confirm in time, or there is no connection to it."""


class MessageRefused(BrokerUnavailable):
    """A queue did not take the message: it is full or has no leader."""


class NotConfirmed(BrokerUnavailable):
    """A channel was open, but the message was not confirmed in time. A queue may have it."""


class NotTried(BrokerUnavailable):
    """The message was not sent, because messages before it cost the channel too often."""


class LostInFlight(BrokerUnavailable):
    """The connection ended while the message was in flight, without a reason.

    The broker may have stopped. But a proxy may also refuse this message.
    """


class ChannelLost(BrokerUnavailable):
    """The broker closed the channel or the connection while the message was in flight.

    `is_permission`: the broker's reason was a missing permission or exchange, and not the message.
    """

    def __init__(self, message: str, *, is_permission: bool = False) -> None:
        super().__init__(message)
        self.is_permission = is_permission


class MessageUnsendable(BrokerUnavailable):
    """The message does not fit AMQP. It was not sent."""


class TopologyDiffers(RecordingWorkerError):
    """The exchanges and queues on the broker are not those that the worker needs.

    The text names the differences.
    """


class UntestedLibrary(RecordingWorkerError):
    """An installed AMQP library has a version that this worker was not tested with."""


class WrongSettings(RecordingWorkerError):
    """Settings cannot work. `faults` has one sentence for each fault, which names the variable."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)
