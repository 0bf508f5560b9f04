"""`recording-worker dead`: shows, replays and drops the messages of the dead-letter queue.

`commands` has the four subcommands. `options` has the flags that select letters, `selection` the
rule that they express. `actions` reads the queue and acts on each selected letter. `letter` decodes
one letter; `format` renders it for users and for scripts. `known_commands` asks the state whether
an earlier replay was interrupted.
"""
