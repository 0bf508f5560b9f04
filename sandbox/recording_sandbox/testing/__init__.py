"""What the pytest plugin hands out: the sandbox, RabbitMQ and the worker for tests of any style.

`background_loop` runs what is asynchronous in a thread. `background_sandbox` and
`background_worker` are the sandbox and the worker on it, with methods that block. `broker` finds
RabbitMQ. `markers` reads what a test asks for. `installation` looks for the worker.
"""
