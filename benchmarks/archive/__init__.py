"""Files copied from a URL to S3: the archive beside what a user would script.

bench.py     starts the servers, lets each contestant copy the same files, and writes the table
worker.py    the archive's copier, in a process of its own
"""
