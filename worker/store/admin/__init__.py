"""The command-line tools for the database, which run beside the workers or instead of them.

All read while workers write, by the connections of `read_only`. `recording_details` has everything
about one recording, `past_commands` has commands that ended, and `short_ids` completes ids.
`overview` has what waits and what is live.

For the console: `state_reader` keeps a connection and reads `live_now`, `recording_pages`,
`command_pages`, `archive_pages` and what an id is about (`search`).
For the archive: `archived_files` lists files. `archive verify` asks `stored_copies` and
`copies_since` which copies there must be, as the rows of `copy_rows`.

Two write: `set_aside` has events published again, and `copy` copies a stopped worker's state to
another database.
"""
