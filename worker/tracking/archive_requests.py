"""The requests that the archive makes to the API. They have the lowest priority of all."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from recording_schemas import Status
from worker.budget.priorities import Priority
from worker.domain.errors import Unavailable
from worker.domain.snapshot import Participant
from worker.realtimekit.apps import Apps
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.fetch import fetch_recording
from worker.store.queries import RecordingsFilter
from worker.store.store import Store


class ArchiveRequests:
    """Reads recordings and sessions for the archive, within what is left of the budget."""

    def __init__(
        self,
        store: Store,
        apps: Apps,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._apps = apps
        self._now = now

    async def read_again(self, app: str, recording_id: str) -> None:
        """Read a recording for URLs that were signed anew, and publish them.

        Raises ApiError: Refused if the app or the recording does not exist any more, Unavailable
            if the API shows the recording but not whose files they are.
        """
        api = self._api(app)
        query = RecordingsFilter(recording_id=recording_id, app=app, limit=1)
        known = await self._store.recordings(query)
        observation = await fetch_recording(
            api,
            recording_id,
            known[0] if known else None,
            app=app,
            observed_by="sweep",
            now=self._now,
        )
        renewing = msgspec.structs.replace(observation, renews_urls=True)
        await self._store.apply([renewing])
        # Without this error the caller would believe that the API gives no new URL.
        if observation.files is None and observation.snapshot.status is Status.UPLOADED:
            raise Unavailable("unavailable", "the API does not show the participants now")

    async def read_participants(self, app: str, session_id: str) -> tuple[Participant, ...]:
        """All stays in a session. Raises ApiError, as `read_again`."""
        return await self._api(app).list_participants(session_id)

    def _api(self, name: str) -> RealtimeKitClient:
        app = self._apps.find(name)
        if app is None:
            raise self._apps.unknown_app(name)
        if app.breaker.is_open:
            raise Unavailable("unavailable", "the API does not answer now")
        return app.api.with_priority(Priority.SWEEP, patient=False)
