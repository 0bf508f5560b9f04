"""Notices changes at the API and applies them to the store, from which events are published.

`trackers` builds the parts for one app. `sweep` lists the live recordings at intervals.
`sweep_interval`, `webhook_coverage` and `list_health` decide how often. One sweep is a reading of
`live_list`: its pages come from `pagination`, `discovery` adopts recordings of others, and
`list_diff` notices what is missing. `ended_list` lists what became of it, and `sweep_log` logs what
changed. `refresher` reads each recording that is due, unless `shown_files` has what a list or a
webhook showed, and `recording_reader` interprets the answer. `duration_limiter` stops recordings
whose longest duration has passed; `retry_delays` spaces the failed requests of both.
`session_watch` looks for the sessions that starts wait for. `webhook_endpoint` receives what the
API pushes, after `webhook_registration` has subscribed to it. `archive_requests` are those that the
archive makes.
"""
