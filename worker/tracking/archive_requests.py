"""The requests that the archive makes to the API. They have the lowest priority of all."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from worker.budget.priorities import Priority
from worker.domain.errors import Unavailable
from worker.domain.snapshot import Participant, RecordingSnapshot
from worker.realtimekit.apps import Apps
from worker.realtimekit.client import RealtimeKitClient
from worker.realtimekit.fetch import fetch_recording
from worker.store.archive_intake import URL_LIFE_SECONDS
from worker.store.archive_urls import SignedUrls
from worker.store.queries import RecordingsFilter
from worker.store.store import Store


class ArchiveRequests:
    """Reads recordings and sessions for the archive, with the quota that other requests leave."""

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
        """Read a recording to get new URLs, and publish them.

        If the API does not show the owners of the files, only the archive gets the URLs.

        Raises ApiError: Refused if the app or the recording does not exist any more.
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
        if observation.files is None:
            await self._note_urls(observation.snapshot)

    async def _note_urls(self, snapshot: RecordingSnapshot) -> None:
        now = self._now().timestamp()
        expiry = snapshot.download_url_expiry
        expires_at = expiry.timestamp() if expiry else now + URL_LIFE_SECONDS
        urls = {file.name: file.download_url for file in snapshot.files if file.download_url}
        if expires_at > now:
            await self._store.archive.note_urls(
                SignedUrls(
                    recording_id=snapshot.recording_id, urls=urls, expires_at=expires_at, now=now
                )
            )

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
