"""Which operation serves which path of the API."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from recording_sandbox.api.call import Handler
from recording_sandbox.api.meeting_operations import MeetingOperations
from recording_sandbox.api.raw_responses import gateway_error
from recording_sandbox.api.recording_list import RecordingList
from recording_sandbox.api.recording_operations import RecordingOperations
from recording_sandbox.api.request_handler import RequestHandler
from recording_sandbox.api.session_operations import SessionOperations
from recording_sandbox.api.state import SandboxState
from recording_sandbox.api.webhook_operations import WebhookOperations

BASE = "/client/v4/accounts/{account_id}/realtime/kit/{app_id}"
MAX_BODY_BYTES = 1_048_576

Operation = tuple[str, str, str, Handler]
"""Name, method, path below `BASE`, handler."""


def api_routes(state: SandboxState) -> list[web.RouteDef]:
    """The routes of the API. Any other path below `/client/v4` gets the gateway's own error."""
    handler = RequestHandler(state)
    routes = [
        web.route(method, BASE + path, _served(handler, name, operation))
        for name, method, path, operation in operations(state)
    ]
    routes.append(web.route("*", "/client/v4/{rest:.*}", _no_route))
    return routes


def _served(
    handler: RequestHandler, name: str, operation: Handler
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        return await handler.handle(request, name, operation)

    return serve


async def _no_route(request: web.Request) -> web.Response:
    del request
    return gateway_error(404, 7003, "No route for the URI")


def operations(state: SandboxState) -> list[Operation]:
    """All operations. `OPERATIONS` of the faults has their names."""
    return [*_of_recordings(state), *_of_sessions_and_meetings(state), *_of_webhooks(state)]


def _of_recordings(state: SandboxState) -> list[Operation]:
    clock, behaviour, responses = state.clock, state.behaviour, state.recording_responses
    listed = RecordingList(clock, behaviour, state.meetings, state.recordings, responses)
    recordings = RecordingOperations(behaviour, state.recordings, responses)
    active = "/recordings/active-recording/{meeting_id}"
    return [
        ("start_recording", "POST", "/recordings", recordings.start_composite),
        ("start_track_recording", "POST", "/recordings/track", recordings.start_track),
        ("list_recordings", "GET", "/recordings", listed.list_recordings),
        ("active_recording", "GET", active, recordings.active),
        ("get_recording", "GET", "/recordings/{recording_id}", recordings.get),
        ("change_recording", "PUT", "/recordings/{recording_id}", recordings.change),
    ]


def _of_sessions_and_meetings(state: SandboxState) -> list[Operation]:
    sessions = SessionOperations(state.clock, state.behaviour, state.meetings)
    meetings = MeetingOperations(state.clock, state.behaviour, state.meetings)
    participants = "/sessions/{session_id}/participants"
    people = "/meetings/{meeting_id}/participants"
    return [
        ("list_sessions", "GET", "/sessions", sessions.list_sessions),
        ("get_session", "GET", "/sessions/{session_id}", sessions.get),
        ("list_participants", "GET", participants, sessions.participants),
        ("get_participant", "GET", f"{participants}/{{participant_id}}", sessions.participant),
        ("active_session", "GET", "/meetings/{meeting_id}/active-session", sessions.active),
        ("create_meeting", "POST", "/meetings", meetings.create),
        ("get_meeting", "GET", "/meetings/{meeting_id}", meetings.get),
        ("add_participant", "POST", people, meetings.add_participant),
        ("meeting_participants", "GET", people, meetings.participants),
    ]


def _of_webhooks(state: SandboxState) -> list[Operation]:
    webhooks = WebhookOperations(state.clock, state.subscriptions)
    return [
        ("list_webhooks", "GET", "/webhooks", webhooks.list_webhooks),
        ("add_webhook", "POST", "/webhooks", webhooks.add),
        ("list_webhook_events", "GET", "/webhooks/all", webhooks.events),
        ("get_webhook", "GET", "/webhooks/{webhook_id}", webhooks.get),
        ("replace_webhook", "PUT", "/webhooks/{webhook_id}", webhooks.replace),
        ("edit_webhook", "PATCH", "/webhooks/{webhook_id}", webhooks.edit),
        ("delete_webhook", "DELETE", "/webhooks/{webhook_id}", webhooks.delete),
    ]
