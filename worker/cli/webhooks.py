"""`recording-worker webhooks`: manages the API's webhook subscription."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from worker.cli.context import silence_libraries
from worker.cli.groups import SuggestingGroup
from worker.cli.output import Column, Decorated, Row, print_rows, table_options

if TYPE_CHECKING:
    from worker.realtimekit.client import RealtimeKitClient
    from worker.realtimekit.models import Webhook
    from worker.settings.apps import AppSettings

ResultT = TypeVar("ResultT")

EXAMPLES = """\
\b
Examples:
  WORKER_PUBLIC_URL=https://recordings.example.com recording-worker webhooks register
  recording-worker webhooks register --url https://recordings.example.com --app eu
  recording-worker webhooks list --json | jq -r 'select(.ours) | .webhook_id'
  recording-worker webhooks remove --url https://old.example.com

The command needs the settings of `run`. Its few requests do not count in the budget of the workers.
"""
REGISTER_EPILOG = """\
\b
Examples:
  WORKER_PUBLIC_URL=https://recordings.example.com recording-worker webhooks register
  recording-worker webhooks register --url https://recordings.example.com

The command can be repeated: exactly one enabled subscription for the URL remains. `run` does the
same if WORKER_PUBLIC_URL is set. Subscriptions with other URLs are not changed.
"""
LIST_EPILOG = """\
\b
Examples:
  recording-worker webhooks list
  recording-worker webhooks list --app eu --json | jq -r .url

`ours` is true for the subscriptions of WORKER_PUBLIC_URL, or of --url. Without both it is unknown,
and null in JSON.
"""
REMOVE_EPILOG = """\
\b
Examples:
  recording-worker webhooks remove
  recording-worker webhooks remove --url https://old.example.com

A worker that starts with WORKER_PUBLIC_URL registers its webhook again. Subscriptions with other
URLs are not changed.
"""
COLUMNS: Final = (
    Column("webhook", "webhook_id"),
    Column("name", "name"),
    Column("enabled", "enabled"),
    Column("ours", "ours"),
    Column("events", "events"),
    Column("url", "url"),
)
REQUEST_TIMEOUT_SECONDS: Final = 10.0
TOTAL_RETRY_SECONDS: Final = 15.0
MAX_ATTEMPTS: Final = 3


def _webhook_options(command: Decorated) -> Decorated:
    url = click.option(
        "--url",
        "public_url",
        callback=_parse_url,
        help="URL where the API reaches the worker, instead of WORKER_PUBLIC_URL. "
        "/webhooks/realtimekit is appended.",
    )
    app = click.option("--app", help="The app, if several are configured. Default: default.")
    return url(app(table_options(command)))


def _parse_url(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    from worker.settings.parsing import http_url

    try:
        return None if value is None else http_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.group(cls=SuggestingGroup, epilog=EXAMPLES)
def command() -> None:
    """Register, list or remove the API's webhook subscription."""


@command.command(epilog=REGISTER_EPILOG)
@_webhook_options
def register(public_url: str | None, app: str | None, as_json: bool) -> None:
    """Register the worker's webhook with the API."""
    from worker.tracking.webhook_registration import register

    settings = _app_settings(app)
    url = _require_callback_url(settings, public_url)
    done = _call_api(settings, lambda api: register(api, url))
    result = {"action": done.action, "duplicates_removed": done.removed}
    print_rows(COLUMNS, [_row(done.webhook, url, as_json=as_json) | result], as_json=as_json)
    click.echo(f"{done.action}; {done.removed} duplicates removed", err=True)


@command.command("list", epilog=LIST_EPILOG)
@_webhook_options
def list_(public_url: str | None, app: str | None, as_json: bool) -> None:
    """List all webhook subscriptions of the app."""
    settings = _app_settings(app)
    webhooks = _call_api(settings, lambda api: api.list_webhooks())
    _print(webhooks, _callback_url(settings, public_url), as_json=as_json)


@command.command(epilog=REMOVE_EPILOG)
@_webhook_options
def remove(public_url: str | None, app: str | None, as_json: bool) -> None:
    """Remove the worker's webhook from the API."""
    from worker.tracking.webhook_registration import remove

    settings = _app_settings(app)
    url = _require_callback_url(settings, public_url)
    removed = _call_api(settings, lambda api: remove(api, url))
    _print(removed, url, as_json=as_json)
    click.echo(f"{len(removed)} removed", err=True)


def _app_settings(name: str | None) -> "AppSettings":
    from worker.settings.settings import Settings

    silence_libraries()
    apps = {app.name: app for app in Settings.from_env(os.environ).apps}
    if name is None and len(apps) == 1:
        return next(iter(apps.values()))
    app = apps.get(name or "default")
    if app is None:
        raise click.BadParameter(f"must be one of {', '.join(sorted(apps))}", param_hint="--app")
    return app


def _callback_url(settings: "AppSettings", public_url: str | None) -> str | None:
    from worker.tracking.webhook_registration import callback_url

    base_url = public_url or settings.public_url
    return callback_url(base_url, settings.name) if base_url else None


def _require_callback_url(settings: "AppSettings", public_url: str | None) -> str:
    url = _callback_url(settings, public_url)
    if url is None:
        raise click.UsageError(
            "give --url or set WORKER_PUBLIC_URL: the URL where the API reaches the worker"
        )
    return url


def _call_api(
    settings: "AppSettings",
    request: "Callable[[RealtimeKitClient], Coroutine[Any, Any, ResultT]]",
) -> ResultT:
    from worker.domain.errors import ApiError
    from worker.realtimekit.setting_hints import with_setting_hint

    async def call() -> ResultT:
        async with _open_client(settings) as api:
            return await request(api)

    try:
        return asyncio.run(call())
    except ApiError as error:
        raise click.ClickException(with_setting_hint(error)) from error


@asynccontextmanager
async def _open_client(settings: "AppSettings") -> "AsyncIterator[RealtimeKitClient]":
    from worker.realtimekit.client import RealtimeKitClient
    from worker.realtimekit.retry import RequestRetry

    client = RealtimeKitClient(
        base_url=settings.base_url,
        account_id=settings.account_id,
        app_id=settings.app_id,
        token=settings.api_token.reveal,
        timeout=REQUEST_TIMEOUT_SECONDS,
        proxies=settings.proxies,
        retry=RequestRetry(attempts=MAX_ATTEMPTS, total_seconds=TOTAL_RETRY_SECONDS),
    )
    try:
        yield client
    finally:
        await client.aclose()


def _print(webhooks: "Sequence[Webhook]", our_url: str | None, *, as_json: bool) -> None:
    rows = [_row(webhook, our_url, as_json=as_json) for webhook in webhooks]
    print_rows(COLUMNS, rows, as_json=as_json)


def _row(webhook: "Webhook", our_url: str | None, *, as_json: bool) -> Row:
    from worker.realtimekit.urls import is_same_url

    return {
        "webhook_id": webhook.webhook_id,
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events if as_json else ", ".join(webhook.events),
        "enabled": webhook.enabled,
        "ours": None if our_url is None else is_same_url(webhook.url, our_url),
    }
