"""The values of the pytest plugin's fixtures: sandbox, RabbitMQ and worker for tests of any style.

`background_loop` runs asynchronous code in a thread. `background_sandbox` and `background_worker`
are the sandbox and the worker on it, with methods that block. `broker` finds RabbitMQ. `markers`
reads a test's markers. `installation` looks for the worker.
"""
