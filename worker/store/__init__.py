"""The state store: commands, recordings, and events that wait for the broker. All SQL is here.

Read in this order. `store` is the facade; everything below it is an operation in a transaction.
A command: `inbox` claims it (`claims`, `inbox_row`, `claimed_rows`, `cancelling`, `slots`),
`people_of_starts` keeps whom a start asks for, `releasing` returns it, `finishing` ends it.
A change: `observations` applies a batch, `recordings`
one observation, `outbox` stores the events, and `outbox_marks` their results. `read_schedule` and
`cursors` have the recordings to read next, `queries` answers questions. `pruner` removes old rows
by means of `pruning`. All replicas share the `leases`, one of them for the `leader`, and `budgets`.

`database/` has the tables and engines, `admin/` the tools, `migrations/` the table changes.
"""
