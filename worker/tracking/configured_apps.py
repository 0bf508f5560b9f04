"""Compares the configured apps with the recordings in the database, when the worker starts."""

from collections.abc import Iterable
from contextlib import suppress

import structlog

from worker.domain.errors import StoreUnavailable, WrongSettings
from worker.settings.apps import AppSettings
from worker.store.app_identities import AppIdentity
from worker.store.store import Store


async def check_apps(store: Store, apps: Iterable[AppSettings]) -> None:
    """Warn of recordings whose app is not configured. They are kept but not followed.

    Raises WrongSettings if the name of an app with open recordings now belongs to another
    RealtimeKit app. That one answers 404 for all of them, so they would end as ERRORED.
    """
    by_name = {app.name: app for app in apps}
    with suppress(StoreUnavailable):  # readiness reports it
        for name, count in (await store.count_by_app()).items():
            if name not in by_name:
                structlog.get_logger().warning("recordings_of_no_app", app=name, recordings=count)
        faults = [fault for app in by_name.values() if (fault := await _fault(store, app))]
        if faults:
            raise WrongSettings(faults)


async def _fault(store: Store, app: AppSettings) -> str | None:
    count = await store.adopt_app(
        AppIdentity(name=app.name, account_id=app.account_id, app_id=app.app_id, now=store.now())
    )
    if not count:
        return None
    return (
        f"REALTIMEKIT_APP_ID, or `app_id` in WORKER_APPS_FILE: the app {app.name!r} has another "
        f"account or app id than before, and {count} of its recordings have not ended. The new app "
        "does not have them, so they would end as ERRORED. Set the former ids, and change them "
        "when the recordings have ended; or give the new app another name in WORKER_APPS_FILE; or "
        "set another DATABASE_URL"
    )
