"""The two engines below the store's operations: tables, connections, transactions, notifications.

Read in this order. `schema` and `archive_schema` have the tables and the states of their rows.
`engine` opens connections, with `postgresql` for that engine. `sqlite_files` notices files that
were removed. `group_commit` collects requests, which wait as `submissions` in the
`submission_queue`. `transaction_runner` executes them together, in the `store_thread`. `clock` is
the clock of all who share the database. `dialects` has the differences of the engines, and `bulk`
and `direct` the fastest calls of their drivers. `notifications` informs other replicas of commits.
`lock_session` is a session that ends with its replica, and `psycopg_timeout` a connection that
never waits forever. `migrate` upgrades tables. `opening` puts these parts together for a worker.
`advice` explains errors of PostgreSQL, and `privileges` finds the rights that the worker's role
lacks.
"""
