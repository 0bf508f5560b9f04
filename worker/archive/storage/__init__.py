"""The user's storage: S3, Google Cloud Storage, Azure or a folder. It needs the extra `archive`.

storage.py           objects: put, upload in parts, size, read
open_stores.py       the stores of one archive, opened anew after a refusal
stores.py            obstore's stores, by the provider's usual variables and files
s3_credentials.py    credentials for S3 from botocore's chain
chunk_pipe.py        hands chunks to obstore, and ends an upload so that its parts are removed
durable_files.py     writes a file of a folder out to the disk
stored_checksums.py  the SHA-256 that AWS keeps of an object
abandoned_parts.py   removes what killed processes left behind
interpreter_exit.py  lets obstore's threads end before the interpreter
storage_errors.py    obstore's errors to ours
"""

from worker.archive.storage.storage import ArchiveStorage

__all__ = ["ArchiveStorage"]
