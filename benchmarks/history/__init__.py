"""The cost of millions of finished recordings, on SQLite and on PostgreSQL.

lives.py        lets the store write a few recordings, from their start to their archive
fill.py         writes those rows millions of times, with the SQL of row_statements.py
places.py       a database with a history, and the measurements on it
operations.py   the measured operations: commands.py, following.py and upkeep.py have those of the
                worker, command_line.py and console.py the queries of these two
measuring.py    measures each operation alternately with a long and with a short history
ready.py        measures the worker as a process: its start, and a backlog
bench.py        runs all of it: `make bench-history`
results.py      the results as JSON; report.py makes their table
"""
