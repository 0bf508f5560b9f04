"""Tools that use the database beside the workers, or instead of them: for the command line.

`read_only` reads recordings while workers write. `copy` copies a stopped worker's state to another
database.
"""
