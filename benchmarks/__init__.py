"""Benchmarks: the worker beside what its users would pick instead, in one run on one machine."""
