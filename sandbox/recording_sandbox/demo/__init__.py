"""`recording-worker demo`: one meeting recorded on one machine, to watch and to check.

`cli` reads the options, and `broker_check` the broker of AMQP_URL. `runner` runs the demo: it
starts the `environment` (RabbitMQ, sandbox, `worker_process` with its `worker_settings`), plays the
`scenario` by a `worker_client`, downloads the files as `tracks`, and checks them by `assertions`.
`archive` checks the manifest. `narration` words what happens, and the `timeline` and `tables` print
it. With --keep everything stays up, the `console_process` shows it in a browser, and `instructions`
say how to use it.
"""
