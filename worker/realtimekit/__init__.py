"""The RealtimeKit API: requests out, snapshots and our own errors in."""
