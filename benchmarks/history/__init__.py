"""What millions of finished recordings cost: on SQLite and on PostgreSQL, with and without them.

`lives.py` lets the store write a few recordings from their start to their archive. `fill.py` writes
the rows of those millions of times. `operations.py` has what is then measured, `bench.py` measures.
"""
