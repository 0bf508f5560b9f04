"""The codes of the outcome `failed`: the command was right, and the worker gave up on it."""

from typing import Final

from recording_schemas.error_code import ErrorCode, Place, Resend


def _failed(
    code: str,
    when: str,
    remedy: str,
    *,
    resend: Resend = "unchanged",
    places: tuple[Place, ...] = ("failed", "retry"),
) -> ErrorCode:
    return ErrorCode(code=code, places=places, when=when, remedy=remedy, resend=resend)


FAILED_CODES: Final = (
    _failed(
        "connect_failed",
        "The worker could not connect to the API.",
        "Check network, proxy and DNS.",
    ),
    _failed(
        "connection_lost",
        "The connection ended before the whole answer was there.",
        "Check the network and the proxy.",
    ),
    _failed(
        "timeout",
        "The API did not answer within `WORKER_API_TIMEOUT_SECONDS`, or reading its list took too "
        "long.",
        "Check the API.",
    ),
    _failed("server_error", "The API answered 5xx.", "Check the API's status page."),
    _failed(
        "unexpected_status",
        "The API answered with an undocumented HTTP status, or a program in front of it answered "
        "in its place, for example with a page and 404.",
        "Check whether a proxy answers in the API's place.",
    ),
    _failed(
        "unreadable_response",
        "The API's answer cannot be read.",
        "Check whether a proxy answers in the API's place.",
    ),
    _failed(
        "response_too_large",
        "The API's answer is larger than the worker reads.",
        "Check whether a proxy answers in the API's place.",
    ),
    _failed(
        "unavailable",
        "The worker could not read the participants of the session for a `sync_recording`.",
        "Check the API.",
    ),
    _failed("too_early", "The API answered 425.", "Nothing."),
    _failed(
        "unauthorized",
        "The API does not accept the worker's token: 401, or 403 or 400 of the gateway.",
        "Replace the token. The worker reads it again.",
    ),
    _failed(
        "throttled",
        "The API received too many requests: 429 of the gateway, or its code 971.",
        "Lower `WORKER_API_BUDGET` if other programs use the same account.",
    ),
    _failed(
        "over_budget",
        "The worker's own request budget had no requests left.",
        "Spread the commands, or raise `WORKER_API_BUDGET` if the account may send more.",
    ),
    _failed(
        "capacity",
        "A limit of the product is reached, such as that of concurrent recordings.",
        "Wait until a recording ends, or ask Cloudflare for a higher limit.",
    ),
    _failed(
        "forbidden",
        "The product forbids this request: 403. Or a firewall in front of the API blocks the "
        "texts of the start: 403 with a web page.",
        "Find out what the app may do. If it was a firewall, change the texts of the start, or ask "
        "Cloudflare: the CF-Ray in the message names the request.",
    ),
    _failed(
        "no_session",
        "The meeting had no session within `WORKER_SESSION_WAIT_SECONDS`.",
        "Send the start again when people meet.",
    ),
    _failed(
        "start_unknown",
        "No start with this `start_id` arrived within `WORKER_STOP_WAIT_SECONDS`.",
        "Check the `start_id`. A start of this id that comes later ends as `cancelled`, if the "
        "command was a stop.",
        resend="never",
    ),
    _failed(
        "start_pending",
        "The start that the command names or waits for did not end within "
        "`WORKER_STOP_WAIT_SECONDS`.",
        "Look at the outcome of that start.",
    ),
    _failed(
        "start_unconfirmed",
        "The API may have executed the start. The worker did not find its recording, or could not "
        "look for it, until the start was too old.",
        "Look for the meeting's recordings first. Another start may record the meeting twice.",
    ),
    _failed(
        "not_stoppable",
        "Within `WORKER_STOP_WAIT_SECONDS` the recording had no status in which the API can stop "
        "it, or the API listed it as live and answered 404 for it.",
        "Look at the recording's status. It may still be recording.",
    ),
    _failed(
        "not_pausable",
        "Within `WORKER_STOP_WAIT_SECONDS` the recording had no status in which the API can pause "
        "it, or the API listed it as live and answered 404 for it.",
        "Look at the recording's status. It may still be recording.",
    ),
    _failed(
        "not_resumable",
        "Within `WORKER_STOP_WAIT_SECONDS` the recording had no status in which the API can resume "
        "it, or the API listed it as live and answered 404 for it.",
        "Look at the recording's status.",
    ),
    _failed(
        "unknown_status",
        "The API reports an undocumented status, of a recording that another program started.",
        "Update the worker.",
    ),
    _failed(
        "too_old",
        "No worker attempted the command within `WORKER_COMMAND_MAX_AGE_SECONDS`.",
        "Check whether enough workers run.",
        places=("failed",),
    ),
    _failed(
        "dead_lettered",
        "The broker dead-lettered the command. The message says why.",
        "Remove the cause. The command is in the dead-letter queue.",
        places=("failed",),
    ),
    _failed(
        "crashed",
        "The worker process ended at every attempt. The command is in the dead-letter queue.",
        "Report it to the operators of the worker.",
        resend="never",
        places=("failed",),
    ),
    _failed(
        "lease_lost",
        "Another replica took the command over at each attempt.",
        "Check whether the machines of the workers are too busy.",
    ),
)
