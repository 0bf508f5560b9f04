"""The two engines below the store's operations: tables, connections, transactions, notifications.

Read in this order. `schema` and `archive_schema` have the tables and the states of their rows,
`engine` the connections (those of `postgresql`, and `sqlite_files` for files that vanish),
`submission_queue` and `submissions` the requests that wait, `group_commit` the transactions that
they share, `store_thread` the thread that runs them, `clock` the time of everybody who shares the
database. `dialects` has the differences of the engines, `bulk` and `direct` the fastest ways to
their drivers. `notifications` has the messages of a commit to other replicas, `lock_session` a
session that ends with its replica, `psycopg_timeout` a connection that never waits forever.
`migrate` upgrades tables. `advice` says what to do about an error of PostgreSQL.
"""
