"""Files copied from a URL to S3: compares the archive with the scripts that users would write.

bench.py     lets each contestant copy the same files, and writes the table
servers.py   the web server and the S3 server
worker.py    the archive's copier, as a separate process
"""
