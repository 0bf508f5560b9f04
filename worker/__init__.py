"""The worker: executes commands, tracks recordings, publishes events, and archives files.

A package imports only packages below it:

    cli, console                 the command line; the page for operators, in a separate process
    app, then bootstrap          start and stop of the process; the wiring of all parts
    commands, tracking           a command is executed once; changes at the API are noticed
    archive, publishing          files are copied to the user's storage; events are published
    realtimekit                  the remote API
    store                        the state: inbox, recordings, outbox, leases
    observability, settings      logs, metrics, traces, probes; every setting
    broker, budget               RabbitMQ; the API request budget that all replicas share
    domain, aio                  values and rules, without I/O; helpers for asyncio

CONTRIBUTING.md has the way of a command, a change, an event and a file through them.
"""
