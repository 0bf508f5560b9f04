"""The RealtimeKit API: requests out, snapshots and our own errors in."""

from worker.realtimekit.client import RealtimeKit
from worker.realtimekit.values import Page, Session, Sessions, Webhook

__all__ = ["Page", "RealtimeKit", "Session", "Sessions", "Webhook"]
