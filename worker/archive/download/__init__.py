"""Downloads of recorded files: bounded, resumed, and only from where it is allowed.

download.py      opens one file: redirects, addresses, the status of the answer
source_file.py   its body: time-outs, bounds, and resumption of a transfer that broke
source_rate.py   whether the source is too slow
body_buffer.py   what has arrived of a body and waits
responses.py     what the status and the headers of a response mean
source_url.py    which URLs may be read from
addresses.py     which addresses may be connected to
name_lookup.py   looks names up, in threads of its own
transport.py     an httpx transport that streams responses from checked addresses
connection.py    one HTTP/1.1 connection, with flow control
"""

from worker.archive.download.download import Download
from worker.archive.download.source_file import Block, SourceFile

__all__ = ["Block", "Download", "SourceFile"]
