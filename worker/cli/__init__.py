"""The command line: calls the packages below by the arguments, and prints their results.

`root` is the command `recording-worker`; it imports a subcommand only when that one is needed.
`run` starts the worker. `send`, `tail` and `recordings` are for users of the worker. `dead/`,
`status/`, `webhooks`, `topology`, `config` and `store` are for operators. They share `context`
(settings and signals), `output` (tables and JSON lines), `exit_codes`, `command_builder` (flags to
a command), `event_filter`, `event_format` and `redaction`.

Every module imports what is slow inside its functions, so that `--help` answers at once.
"""
