"""The state store: commands, recordings, and events that wait for the broker. All SQL is here.

Read in this order. `store` is the facade; everything below it is an operation in a transaction.
A command: `inbox` claims it (`inbox_row`, `slots`), `releasing` returns it, `finishing` ends it.
A change: `observations` is the door, `recordings` applies one, `outbox` keeps the events.
`read_schedule` and `cursors` say what to read next, `queries` what is known. `pruner` removes what
is old, by `pruning`. All replicas share the `leases`, one of them for the `leader`, and `budgets`.

`database/` has the tables and engines, `admin/` the tools, `migrations/` the table changes.
"""
