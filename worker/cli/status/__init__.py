"""`recording-worker status`: says on one screen whether the workers are well, and if not, why.

`command` has the options. `sources` asks the worker, the database and the broker, all three at once
and for a bounded time. `checks` turns their answers into checks and a verdict. `format` renders
them for people and for scripts.
"""
