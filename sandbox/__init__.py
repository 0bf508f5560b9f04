"""What stands in for the world on one machine: an emulated RealtimeKit API and its surroundings.

The worker never imports this package, and it imports nothing of the worker: what both sides believe
of the API is written down twice, so that one mistake cannot hide behind the other.
"""
