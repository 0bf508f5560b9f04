"""The two engines below the store's operations: tables, connections, transactions, notifications.

Read in this order. `schema` has the tables and the states of their rows, `engine` the connections,
`group_commit` the transactions that requests share, `clock` the time of everybody who shares the
database. `dialects` has what the engines spell differently, `notifications` what a commit tells
other replicas, `psycopg_timeout` a connection that never waits forever. `migrate` upgrades tables.
"""
