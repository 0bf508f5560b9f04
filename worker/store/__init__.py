"""The state store: commands, recordings, and events that wait for the broker. All SQL is here.

`store` is the facade. Everything below it runs in a transaction.

A command: `inbox` claims it, with `claims`, `inbox_row`, `claimed_rows`, `cancelling` and `slots`.
`id_conflicts` handles other bodies of its id, and `repeats` answers a command that has ended.
`command_leases` has the end of its claim, `people_of_starts` the people whom a start names, and
`action_intents` the recordings that a stop, pause or resume is about to act on.
`releasing` returns a command, `finishing` ends it, and `lost_claims` restores what a failover lost.
`parking` keeps a command that waits outside the queue. `due_commands` finds it again, and
`parked_claims` claims it. `stop_times` has the recordings that the worker itself must stop.

A change: `observations` applies a batch, `recordings` one observation, and `announced_files` has
the files with an event. `recording_rows` reads and writes the rows of recordings.
`deferred_recordings` keeps those that an unfinished start may have begun, and `late_adoption`
adopts them. `outbox` stores the events, `event_positions` their positions in a recording's row.
`unsent_events` reads them, and `outbox_marks` stores their results. `replaying` publishes them
again, page by page (`replay_pages`).

Reads: `read_schedule`, `due_reads` and `cursors` have the recordings to read next. `acted_on` has
the recordings of a command, and `queries` has other queries. `pruner` removes old rows with
`pruning` and `prune_clock`. All replicas share the `leases`, one of them for the `leader`, and
`budgets`. `replicas` notices that a replica has ended, and `taking_over` frees its work.
`clock_repair` corrects times that were written while the clock was far ahead. `repeated_warning`
limits the log lines while the database is unavailable. `app_identities` remembers which app has a
name.

The archive: `archive_store` is its facade. `archive_intake` queues files, `archive_backfill` those
of earlier events. `archive_queue` and `archive_manifests` give them to replicas for a lease
(`archive_leases`), with the URLs of `archive_urls`. `archive_results` commits the results.
`archive_replaced` queues files whose object may have been replaced. `archive_reading` and
`archive_history` read the tables. `archive_updates` changes the files of an observed recording.

`database/` has the tables and engines, `admin/` the tools, `migrations/` the table changes.
"""
