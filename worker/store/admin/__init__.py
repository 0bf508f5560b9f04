"""The command-line tools for the database, which run beside the workers or instead of them.

`read_only` reads recordings while workers write, and `overview` what waits and what is live. `copy`
copies a stopped worker's state to another database.
"""
