"""Files copied from a URL to S3: the archive beside what a user would script.

bench.py     lets each contestant copy the same files, and writes the table
servers.py   the web server and the S3 server
worker.py    the archive's copier, in a process of its own
"""
