"""The two engines below the store's operations: tables, connections, transactions, notifications.

Read in this order. `schema` has the tables and the states of their rows, `engine` the connections,
`submissions` the requests that wait, `group_commit` the transactions that they share, `clock` the
time of everybody who shares the database. `dialects` has the differences of the engines,
`notifications` the messages of a commit to other replicas, `lock_session` a session that ends with
its replica, `psycopg_timeout` a connection that never waits forever. `migrate` upgrades tables.
"""
