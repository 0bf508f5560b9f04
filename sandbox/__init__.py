"""An emulated RealtimeKit API and the services around it, so that all runs on one machine.

The sandbox and the worker never import each other. Each has its own copy of the assumptions about
the API, so that each finds the mistakes of the other.

`model` is the emulated world, and `api` serves it over HTTP. `services` starts RabbitMQ and
PostgreSQL. `demo` records a meeting with all of them. `cli` is the command `recording-worker
sandbox`. `waiting` has `eventually`, by which tests wait for a fact instead of for time.
"""
