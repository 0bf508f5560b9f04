"""Compares the worker with the libraries that its users would use instead, in one run."""
