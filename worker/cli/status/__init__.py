"""`recording-worker status`: shows on one screen whether the workers are healthy, and if not, why.

`command` has the options. `sources` reads from the worker, the database and the broker, all three
at once and for a limited time. `checks` turns their answers into checks and a verdict. `format`
renders them for users and for scripts.
"""
