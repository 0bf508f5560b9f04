"""One app of the recording API, as it is configured."""

import msgspec

from worker.secret import Secret
from worker.settings.parsing import Rate


class AppSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker needs to serve one app. `name` is what commands call it."""

    name: str
    account_id: str
    app_id: str
    api_token: Secret
    base_url: str
    webhook_key_url: str
    api_budget: tuple[Rate, ...]
    follow_all: bool
    public_url: str | None
