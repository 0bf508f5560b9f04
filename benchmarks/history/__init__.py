"""The cost of millions of finished recordings, on SQLite and on PostgreSQL.

`lives.py` lets the store write a few recordings from their start to their archive. `fill.py` writes
those rows millions of times. `operations.py` has the measured operations, `bench.py` measures them.
"""
