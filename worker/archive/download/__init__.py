"""Downloads of recorded files: limited, resumed, and only from permitted addresses.

download.py      opens one file: redirects, addresses, the status of the answer
source_file.py   its body: time-outs, limits, and resumption of a broken transfer
source_rate.py   whether the source is too slow
body_buffer.py   the part of a body that has arrived and waits
responses.py     the meaning of a response's status and headers
source_url.py    the URLs that may be read
addresses.py     the addresses that may be connected to
name_lookup.py   resolves names, in its own threads
transport.py     an httpx transport that streams responses from checked addresses
connection.py    one HTTP/1.1 connection, with flow control
"""

from worker.archive.download.download import Download
from worker.archive.download.source_file import Block, SourceFile

__all__ = ["Block", "Download", "SourceFile"]
