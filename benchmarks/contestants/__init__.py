"""The same job, written as its users would write it on each of the libraries.

Each module is a program for the environment of requirements/bench.lock; it knows `job` and nothing
else of this project.
"""
