"""The codes of the outcome `rejected`: the command is wrong, or the API refused it permanently."""

from typing import Final

from recording_schemas.error_code import ErrorCode, Place, Resend


def _rejected(
    code: str,
    when: str,
    remedy: str,
    *,
    resend: Resend = "corrected",
    places: tuple[Place, ...] = ("rejected",),
) -> ErrorCode:
    return ErrorCode(code=code, places=places, when=when, remedy=remedy, resend=resend)


REJECTED_CODES: Final = (
    _rejected(
        "invalid_field",
        "A field has a value that the worker's rules or the API do not allow.",
        "Correct the field that `field` names.",
    ),
    _rejected(
        "unknown_field",
        "The command has no field of this name. The message names the most similar field.",
        "Correct the name of the field.",
    ),
    _rejected("missing_field", "A required field is missing.", "Add the field."),
    _rejected(
        "conflicting_fields",
        "Two fields exclude each other, or a field is given without the one that it belongs to.",
        "Leave one field out, or add the other.",
    ),
    _rejected(
        "missing_type",
        "The field `type` is missing.",
        "Give one of the types in the message reference.",
    ),
    _rejected(
        "unknown_type",
        "No command has this `type`.",
        "Give one of the types in the message reference.",
    ),
    _rejected(
        "missing_id",
        "The command has no `id`, and its message has no `message_id`. It has no outcome; the "
        "dead-letter queue has the message.",
        "Give an `id`.",
    ),
    _rejected("not_json", "The body is not JSON.", "Send a JSON object."),
    _rejected(
        "not_an_object",
        "The body is JSON, but not an object.",
        "Send a JSON object.",
    ),
    _rejected("too_deep", "The body is nested too deeply.", "Send the fields of the command only."),
    _rejected(
        "not_utf8",
        "The body has bytes that are not UTF-8.",
        "Encode the body as UTF-8.",
    ),
    _rejected(
        "not_gzip",
        "`content_encoding` is gzip, and the body is not one whole gzip member.",
        "Pack the whole body once, or leave `content_encoding` out.",
    ),
    _rejected(
        "wrong_content_encoding",
        "`content_encoding` is neither gzip nor one of the words that leave the body unpacked: "
        "`identity`, `binary`, `utf-8`, `us-ascii`.",
        "Use gzip, or leave `content_encoding` out.",
    ),
    _rejected(
        "wrong_content_type",
        "`content_type` is neither JSON nor a CloudEvent, or names a charset other than UTF-8.",
        "Use `application/json` or `application/cloudevents+json`.",
    ),
    _rejected(
        "too_large",
        "The body exceeds `WORKER_MAX_COMMAND_BYTES`, packed or unpacked.",
        "Send less. Secrets can be in a storage profile of the worker.",
    ),
    _rejected(
        "unknown_app",
        "`app` names no configured app, or it is missing and the worker has several apps.",
        "Name one of the apps in the message.",
    ),
    _rejected(
        "wrong_app",
        "The recording belongs to another app than the command.",
        "Name the recording's app.",
    ),
    _rejected(
        "unknown_storage_profile",
        "The worker has no storage profile of this name.",
        "Correct the name, or configure the profile.",
    ),
    _rejected(
        "unknown_participant",
        "An id in `user_ids` or `custom_participant_ids` belongs to none of the meeting's "
        "participants; `field` has its place, such as `user_ids[0]`. The list may lag, so the "
        "worker reads it twice, and the outcome comes some seconds later. The outcome is `failed` "
        "if the start ended before the second read.",
        "Add the participant first. An id of your own goes into `custom_participant_ids`, "
        "RealtimeKit's into `user_ids`. After `failed`, send the start again with a new `id`.",
        places=("rejected", "failed", "retry"),
    ),
    _rejected(
        "too_many_participants",
        "The ids mean more than 100 different people, which is the API's limit.",
        "Name fewer people, or no ids, which records everybody.",
    ),
    _rejected(
        "already_recording",
        "The API answered 409 to a start: another recording of the meeting runs. Or it answered "
        "with the recording of another start.",
        "Stop that recording, or set `allow_multiple_recordings`.",
    ),
    _rejected(
        "conflict",
        "The API answered 409 to another command.",
        "Read the message: it has the API's words.",
    ),
    _rejected(
        "not_found",
        "The API does not have the meeting or the recording (404). For a replay: the worker does "
        "not know the recording. If the worker started the recording less than 30 seconds ago, it "
        "asks again. If `WORKER_STOP_WAIT_SECONDS` is shorter than that, the outcome is `failed`.",
        "Check the id and the app.",
        places=("rejected", "failed", "retry"),
    ),
    _rejected(
        "bad_request",
        "The API refused the request (400, 422 or another 4xx) and named no field.",
        "Read the message: it has the API's words. If the meeting has no session yet, set "
        "`wait_for_session`.",
    ),
    _rejected(
        "start_failed",
        "The start that the command names ended without a recording.",
        "Nothing. There is no recording.",
        resend="never",
    ),
    _rejected(
        "cancelled",
        "A stop cancelled this start before the worker sent it to the API.",
        "Nothing. The stop did its work.",
        resend="never",
    ),
    _rejected(
        "not_kept",
        "The worker keeps none of the recording's events any more.",
        "Send `sync_recording`, which publishes the present state.",
        resend="never",
    ),
)
