"""The RealtimeKit API: requests out, snapshots and our own errors in."""

from worker.ledger import Priority
from worker.realtimekit.client import RealtimeKit
from worker.realtimekit.lenient import Unreadable
from worker.realtimekit.notices import STATUS_UPDATE, Notice, read_notice
from worker.realtimekit.paying import Purse
from worker.realtimekit.tries import Try
from worker.realtimekit.values import Page, Session, Sessions, Webhook
from worker.realtimekit.webhook_key import WebhookKey

__all__ = [
    "STATUS_UPDATE",
    "Notice",
    "Page",
    "Priority",
    "Purse",
    "RealtimeKit",
    "Session",
    "Sessions",
    "Try",
    "Unreadable",
    "Webhook",
    "WebhookKey",
    "read_notice",
]
