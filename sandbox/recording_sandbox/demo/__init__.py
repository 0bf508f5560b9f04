"""`recording-worker demo`: one meeting recorded on one machine, to watch and to check.

`cli` reads the options. `runner` runs the demo: it starts the `environment` (RabbitMQ, sandbox,
`worker_process`), plays the `scenario` by a `worker_client`, downloads the files as `tracks`, and
checks them by `assertions`. `narration` words what happens, and the `timeline` prints it. With
--keep everything stays up, the `console_process` shows it in a browser, and `instructions` say how
to use it.
"""
