"""`recording-worker webhooks`."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from worker.cli.output import json_option, print_rows

if TYPE_CHECKING:
    from worker.realtimekit.client import RealtimeKitClient
    from worker.realtimekit.models import Webhook
    from worker.settings.apps import AppSettings

Decorated = TypeVar("Decorated", bound=Callable[..., object])

EXAMPLES = """\
\b
Examples:
  WORKER_PUBLIC_URL=https://recordings.example.com recording-worker webhooks register
  recording-worker webhooks register --url https://recordings.example.com --app eu
  recording-worker webhooks list --json | jq -r 'select(.ours) | .webhook_id'
  recording-worker webhooks remove --url https://old.example.com

The settings are those of `run`. Its requests are few, and not counted in the workers' budget.
"""
REGISTER_EXAMPLES = """\
\b
Examples:
  WORKER_PUBLIC_URL=https://recordings.example.com recording-worker webhooks register
  recording-worker webhooks register --url https://recordings.example.com

May be repeated: one webhook for the URL is left in the end, switched on. `run` does the same when
WORKER_PUBLIC_URL is set. Webhooks to other URLs are left alone.
"""
LIST_EXAMPLES = """\
\b
Examples:
  recording-worker webhooks list
  recording-worker webhooks list --app eu --json | jq -r .url

"ours" are those to WORKER_PUBLIC_URL, or --url.
"""
REMOVE_EXAMPLES = """\
\b
Examples:
  recording-worker webhooks remove
  recording-worker webhooks remove --url https://old.example.com

A worker that starts with WORKER_PUBLIC_URL set registers again. Webhooks to other URLs are left
alone.
"""
COLUMNS: Final = {
    "webhook": "webhook_id",
    "name": "name",
    "enabled": "enabled",
    "ours": "ours",
    "events": "for_events",
    "url": "url",
}


def _flags(command: Decorated) -> Decorated:
    url = click.option(
        "--url",
        "public_url",
        callback=_checked_url,
        help="Where the API reaches the worker, in place of WORKER_PUBLIC_URL; "
        "/webhooks/realtimekit is put behind it.",
    )
    app = click.option("--app", help="Which app, when several are configured.")
    return url(app(json_option(command)))


def _checked_url(
    _context: click.Context, _parameter: click.Parameter, given: str | None
) -> str | None:
    from worker.settings.parsing import http_url

    try:
        return None if given is None else http_url(given)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None


@click.group(epilog=EXAMPLES)
def command() -> None:
    """Have the API tell the worker of changes, look what it tells whom, end it."""


@command.command(epilog=REGISTER_EXAMPLES)
@_flags
def register(public_url: str | None, app: str | None, as_json: bool) -> None:
    """Register the worker's webhook with the API, unless it is already."""
    from worker.tracking.webhook_registration import register

    given = _app_settings(app)
    url = _needed_url(given, public_url)
    done = _ask(given, lambda api: register(api, url))
    _print([done.webhook], url, as_json=as_json, what=done.action, removed=done.removed)
    click.echo(f"{done.action}; {done.removed} doubles removed", err=True)


@command.command("list", epilog=LIST_EXAMPLES)
@_flags
def list_(public_url: str | None, app: str | None, as_json: bool) -> None:
    """Show all webhooks of the app, others' as well."""
    given = _app_settings(app)
    found = _ask(given, lambda api: api.list_webhooks())
    _print(found, _url(given, public_url), as_json=as_json)


@command.command(epilog=REMOVE_EXAMPLES)
@_flags
def remove(public_url: str | None, app: str | None, as_json: bool) -> None:
    """Remove the worker's webhook from the API."""
    from worker.tracking.webhook_registration import remove

    given = _app_settings(app)
    url = _needed_url(given, public_url)
    gone = _ask(given, lambda api: remove(api, url))
    _print(gone, url, as_json=as_json)
    click.echo(f"{len(gone)} removed", err=True)


def _app_settings(name: str | None) -> "AppSettings":
    from worker.settings.settings import Settings

    # The libraries also log what they raise, and would say it before we do.
    logging.getLogger().addHandler(logging.NullHandler())
    apps = {one.name: one for one in Settings.from_env(os.environ).apps}
    if name is None and len(apps) == 1:
        return next(iter(apps.values()))
    found = apps.get(name or "default")
    if found is None:
        raise click.BadParameter(
            f"one of {', '.join(sorted(apps))} must be named", param_hint="--app"
        )
    return found


def _url(given: "AppSettings", public_url: str | None) -> str | None:
    from worker.tracking.webhook_registration import callback_url

    base = public_url or given.public_url
    return callback_url(base, given.name) if base else None


def _needed_url(given: "AppSettings", public_url: str | None) -> str:
    url = _url(given, public_url)
    if url is None:
        raise click.UsageError("--url or WORKER_PUBLIC_URL must say where the API reaches us")
    return url


ResultT = TypeVar("ResultT")


def _ask(
    given: "AppSettings", question: "Callable[[RealtimeKitClient], Coroutine[Any, Any, ResultT]]"
) -> ResultT:
    async def ask() -> ResultT:
        async with _api_of(given) as api:
            return await question(api)

    return asyncio.run(ask())


@asynccontextmanager
async def _api_of(given: "AppSettings") -> "AsyncIterator[RealtimeKitClient]":
    from worker.realtimekit.client import RealtimeKitClient
    from worker.realtimekit.retry import RequestRetry

    api = RealtimeKitClient(
        base_url=given.base_url,
        account_id=given.account_id,
        app_id=given.app_id,
        token=given.api_token.reveal,
        timeout=10.0,
        retry=RequestRetry(attempts=3, total_seconds=15.0),
    )
    try:
        yield api
    finally:
        await api.aclose()


def _print(
    webhooks: "tuple[Webhook, ...] | list[Webhook]",
    ours: str | None,
    *,
    as_json: bool,
    **more: object,
) -> None:
    rows: list[dict[str, object]] = [
        {
            "webhook_id": one.webhook_id,
            "name": one.name,
            "url": one.url,
            "events": one.events,
            "enabled": one.enabled,
            "ours": one.url == ours,
            **more,
        }
        for one in webhooks
    ]
    if not as_json:
        rows = [
            {**row, "for_events": ", ".join(one.events)}
            for row, one in zip(rows, webhooks, strict=True)
        ]
    print_rows(COLUMNS, rows, as_json=as_json)
