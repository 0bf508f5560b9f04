"""Notices changes at the API and applies them to the store, from which events are published.

`trackers` builds the parts for one app.

Sweeps: `sweep` lists the live recordings at intervals, which `sweep_interval`, `webhook_coverage`
and `list_health` decide. `live_list` performs one sweep. Its pages come from `pagination`.
`discovery` adopts recordings that other services started. `list_diff` notices missing recordings,
and `ended_list` finds their ends in lists of ended recordings. `sweep_log` logs what changed.

Reads: `refresher` reads each recording that is due, unless `shown_files` has what a list or a
webhook showed. `read_spacing` lets few reads begin at once. `recording_reader` interprets
the answer. `duration_limiter` stops recordings whose maximum duration has passed. `retry_delays`
spaces the failed requests of both.

`session_watch` lists the sessions that starts wait for. `idle_probe` finds out that the API works
again if no other request does. `webhook_endpoint` receives webhooks, after
`webhook_registration` has subscribed to them. `archive_requests` has the requests of the archive.
`configured_apps` compares the settings with the recordings when the worker starts.
"""
