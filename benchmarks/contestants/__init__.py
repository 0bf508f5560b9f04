"""The same job, written as its users would write it on each of the libraries.

Each module is a program for the environment of requirements/bench.lock; it knows `job` and nothing
else of this project. `bare` is a loop without a library, and `publisher` only publishes. The others
use a library: `on_celery`, `on_dbos`, `on_dramatiq`, `on_faststream`, `on_procrastinate`,
`on_rabbitkit`, `on_taskiq`.
"""
