"""The user's storage: S3, Google Cloud Storage, Azure or a folder. It needs the extra `archive`.

storage.py           objects: put, upload in parts, size, read
open_stores.py       the stores of one archive, opened again after a refusal
stores.py            obstore's stores, by the provider's usual variables and files
s3_credentials.py    credentials for S3 from botocore's chain
chunk_pipe.py        passes chunks to obstore, and ends an upload so that its parts are removed
durable_files.py     syncs a file of a folder to the disk
stored_checksums.py  the SHA-256 that AWS keeps of an object
abandoned_parts.py   removes the parts that killed processes left behind
interpreter_exit.py  waits for obstore's threads before the interpreter ends
storage_errors.py    obstore's errors to ours
"""

from worker.archive.storage.storage import ArchiveStorage

__all__ = ["ArchiveStorage"]
