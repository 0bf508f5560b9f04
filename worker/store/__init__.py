"""The state store: commands, recordings, and events that wait for the broker. All SQL is here.

Read in this order. `store` is the facade; everything below it runs in a transaction.
A command: `inbox` claims it (`claims`, `inbox_row`, `claimed_rows`, `cancelling`, `slots`),
`id_conflicts` holds other bodies of its id back, `repeats` answers when it has ended before,
`command_leases` has the end of its claim, `people_of_starts` keeps whom a start asks for,
`releasing` returns it, `finishing` ends it.
`parking` keeps a command that waits outside the queue, and `due_commands` finds it again by means
of `parked_claims`. `stop_times` has the recordings that the worker itself must stop.
A change: `observations` applies a batch, `recordings` one observation, `announced_files` the files
that have an event. `outbox` stores the events, `event_positions` their order in a recording,
`unsent_events` reads them, and `outbox_marks` has their results.
`replaying` publishes them again, page by page (`replay_pages`).
`read_schedule`, `due_reads` and `cursors` have the recordings to read next, `acted_on` the
recordings that a command has named, and `queries` answers questions. `pruner` removes old rows by
means of `pruning` and `prune_clock`. All replicas share the `leases`, one of them for the `leader`,
and `budgets`.
The archive: `archive_store` is its facade. `archive_intake` queues files, `archive_backfill` those
of earlier events. `archive_queue` and `archive_manifests` hand them out for a lease
(`archive_leases`), with the URLs of `archive_urls`. `archive_results` commits what became of them,
`archive_replaced` has objects written again, and `archive_reading` and `archive_history` read them.
`archive_updates` changes the files of a recording that was observed.
`recording_rows` has the rows of recordings for all who change them. `replicas` notices that a
replica has ended, and `taking_over` frees what it held. `clock_repair` corrects times that were
written while the clock was far ahead.

`database/` has the tables and engines, `admin/` the tools, `migrations/` the table changes.
"""
