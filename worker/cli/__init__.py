"""The command line: calls the packages below with the arguments, and prints their results.

`root` is the command `recording-worker`; it imports a subcommand only when it is called. `run`
starts the worker, and `open_files` raises its limit of open files. `send`, `tail`, `recordings`
(with `recording_details`) and `outcomes` are for users of the worker. `dead/`, `status/`,
`archive/`, `console`, `webhooks`, `topology`, `config` (with `connections`) and `store` are for
operators.

They share `context` (settings and signals, with `default_signals`), `database` (queries to the
state), `exit_codes`, and the options. `ids` completes short ids, `times` reads durations and
times, and `worker_url` has a worker's address. `groups` suggests the right name for a misspelt one,
with `suggestions`. `command_builder` turns flags into a command, and `sending` publishes it.
`event_filter` and `event_format` are for events, `redaction` is for secrets. `output` prints tables
and JSON lines. `tables` lays tables out: `columns` has their cells, `fitting` chooses what fits on
the terminal, and `text` shortens texts.

Every module imports slow libraries inside its functions, so that `--help` answers at once.
"""
