"""Makes the people finder of each attempt that names participants."""

from collections.abc import Callable
from functools import partial

from recording_schemas import Command
from worker.commands.attempt_lease import TAKEN_OVER
from worker.commands.operations.people import PeopleFinder, names_people
from worker.domain.errors import LeaseLost
from worker.domain.meeting_participants import People
from worker.realtimekit.apps import App, Apps
from worker.realtimekit.participant_directory import ParticipantDirectory
from worker.store.claims import ClaimResult
from worker.store.people_of_starts import PeopleOfStart
from worker.store.store import Store


class PeopleFinders:
    """The finders of one replica. They share one directory of participants for each app.

    `owner` names this replica. With `check_user_ids`, a start is refused if one of its
    participant ids is unknown. An unknown custom id is always refused.
    """

    def __init__(
        self,
        store: Store,
        apps: Apps,
        *,
        owner: str,
        now: Callable[[], float],
        check_user_ids: bool,
    ) -> None:
        self._store = store
        self._owner = owner
        self._now = now
        self._check_user_ids = check_user_ids
        self._directories = {app.name: ParticipantDirectory(app.api) for app in apps}

    def finder(
        self, command: Command, claim: ClaimResult, app: App, arrived_at: float
    ) -> PeopleFinder | None:
        """The finder of one attempt. None if the command names no people to look up.

        `arrived_at` is when the delivery arrived, by the monotonic clock.
        """
        if not names_people(command, check_user_ids=self._check_user_ids):
            return None
        return PeopleFinder(
            directory=self._directories[app.name],
            arrived_at=arrived_at,
            came_at=claim.age_from,
            now=self._now,
            check_user_ids=self._check_user_ids,
            asked_before=claim.people,
            keep=partial(self._keep, command.id),
        )

    async def _keep(self, command_id: str, people: People) -> None:
        """Store the people before the call. Raises LeaseLost and StoreUnavailable."""
        request = PeopleOfStart(command_id=command_id, owner=self._owner, people=people)
        if not await self._store.keep_people(request):
            raise LeaseLost("lease_lost", TAKEN_OVER)
