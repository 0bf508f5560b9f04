"""The archive: finished files copied to the user's own storage, proved by checksum.

copier.py       copies one file: download, upload, comparison
download/       the source: bounded, resumed, only from where it is allowed
storage/        the destination: S3, Google Cloud Storage, Azure or a folder
checksums.py    SHA-256 and size of the bytes that pass, and the ETag that S3 must have for them
container/      the duration of a WebM or MP4 file, from the bytes that pass
content_type.py the media type of a file by its name
manifest.py     composes the manifest of a recording; manifest_people.py the people in it
bandwidth.py    bytes per second of a replica
errors.py       what can go wrong, and what happens then
"""
