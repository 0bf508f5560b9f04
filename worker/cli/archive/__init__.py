"""`recording-worker archive`: the files in the archive.

commands.py      the subcommands and their help
entries.py       `list`: the rows of the table, and why a file waits
retrying.py      `retry`: sends `archive_recording` for recordings
verifying.py     `verify`: reads copies back, with progress
places.py        `verify`: the places of copies that are not below the URL of the archive
"""
