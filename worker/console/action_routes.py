"""The routes of dead letters and actions. Everybody who may read sees the letters."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import click
import msgspec
from aiohttp import web

from worker.cli.dead.actions import UnknownLetter
from worker.console import queries
from worker.console.access import COOKIE, Access, session_name
from worker.console.actions import Action, Actions, ImpossibleAction
from worker.console.dead_letters import DeadLetters
from worker.console.read_routes import Handler, json_response
from worker.domain.errors import RecordingWorkerError

Answer = Callable[[web.Request], Awaitable[object]]

_ACTION = msgspec.json.Decoder(Action)


class ActionRoutes:
    """Shows dead letters, and previews and performs actions for users with the token."""

    def __init__(self, access: Access, letters: DeadLetters, actions: Actions) -> None:
        self._access = access
        self._letters = letters
        self._actions = actions

    def routes(self) -> Iterator[web.RouteDef]:
        """All of them."""
        yield web.get("/api/dead", _answered(self._listed))
        yield web.get("/api/dead/{id}", _answered(self._details))
        yield web.post("/api/actions/preview", _answered(self._preview))
        yield web.post("/api/actions", _answered(self._act))

    async def _listed(self, _request: web.Request) -> object:
        return await self._letters.listed()

    async def _details(self, request: web.Request) -> object:
        return {"letters": await self._letters.details(queries.path_id(request))}

    async def _preview(self, request: web.Request) -> object:
        return await self._actions.preview(await self._action(request))

    async def _act(self, request: web.Request) -> object:
        return await self._actions.act(await self._action(request), self._actor(request))

    async def _action(self, request: web.Request) -> Action:
        if not self._access.may_act(request):
            raise web.HTTPForbidden(reason="actions need the token: log in first")
        try:
            action: Action = _ACTION.decode(await request.read())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise queries.wrong(f"not an action: {error}") from None
        return action

    def _actor(self, request: web.Request) -> dict[str, Any]:
        """The actor for the audit line. A program sends the token itself, and has no session."""
        # A proxy may send other credentials in addition to the session.
        is_program = request.headers.get("Authorization", "").lower().startswith("bearer ")
        session = "bearer" if is_program else session_name(request.cookies.get(COOKIE, ""))
        return {"address": self._access.address(request), "session": session}


def _answered(answer: Answer) -> Handler:
    """A handler that sends the answer as JSON, and an error of ours as a sentence."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return json_response(await answer(request))
        except ImpossibleAction as error:
            return json_response({"error": str(error)}, status=409)
        except UnknownLetter as error:
            return json_response({"error": error.message}, status=404)
        except click.ClickException as error:  # a name that is short for several letters
            return json_response({"error": error.message}, status=400)
        except RecordingWorkerError as error:
            return json_response({"error": str(error)}, status=503)
        except TimeoutError:
            return json_response({"error": "RabbitMQ did not answer in time"}, status=503)

    return handle
