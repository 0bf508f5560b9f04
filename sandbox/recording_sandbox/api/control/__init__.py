"""The control plane: JSON under `/sandbox`, with which other processes control the sandbox.

Tests, demos and campaigns use it. `routes` serves it; `call` is one request and its body.
`meetings` and `recordings` change the world, `settings` its rules, `request_log` reports on it.
"""
