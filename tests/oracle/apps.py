"""The apps that the workers of a history serve, by the API's id of each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ONE_APP: Final[Mapping[str, str | None]] = {"app-of-the-history": None}
"""With one app, commands need not name it."""
TWO_APPS: Final[Mapping[str, str | None]] = {"app-of-europe": "eu", "app-of-america": "us"}

TOKEN: Final = "token-of-the-history"  # noqa: S105 - it opens nothing
ACCOUNT: Final = "account"


def app_settings(apps: Mapping[str, str | None], directory: Path) -> dict[str, str]:
    """The settings of the apps. For several, a file in the directory has them."""
    if len(apps) == 1:
        return {
            "REALTIMEKIT_ACCOUNT_ID": ACCOUNT,
            "REALTIMEKIT_APP_ID": next(iter(apps)),
            "REALTIMEKIT_API_TOKEN": TOKEN,
        }
    common = {"account_id": ACCOUNT, "api_token": TOKEN}
    file = directory / "apps.json"
    file.write_text(json.dumps({name: {**common, "app_id": app} for app, name in apps.items()}))
    return {"WORKER_APPS_FILE": str(file)}
