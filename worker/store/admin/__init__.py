"""The command-line tools for the database. They run during the workers' work or instead of them.

All read while workers write, by the connections of `read_only`. `recording_details` has everything
about one recording, `past_commands` has commands that ended, and `short_ids` completes ids.
`overview` has the waiting work and the live recordings.

For the console: `state_reader` keeps a connection and reads `live_now`, `recording_pages`,
`command_pages`, `archive_pages` and the meaning of an id (`search`). For the archive:
`archived_files` lists files. `archive verify` reads from `stored_copies` and `copies_since` which
copies must exist, as the rows of `copy_rows`.

Two write: `set_aside` queues events for publication again, and `copy` copies a stopped worker's
state to another database.
"""
