"""The archive: copies finished files to the user's own storage, and proves each by its checksum.

The way of a file, from top to bottom:

assembly.py           builds the parts from the settings
archiver.py           takes what is due from the store's queue, for a lease
file_copies.py        one attempt at a file: copy, decide by the error, commit
file_lease.py         proves that this replica still has the file
copier.py             download, checksums, upload, comparison
download/             the source: bounded, resumed, only from where it is allowed
storage/              the destination: S3, Google Cloud Storage, Azure or a folder
opening.py            opens the storage, if its libraries are installed
folder_mark.py        shows that the volume of a folder is mounted
abandoned_uploads.py  removes what the uploads of dead processes left behind
backfill.py           queues what was announced while no archive was on
manifest_writer.py    one attempt at a manifest: compose, write, commit
manifest.py           composes the manifest of a recording
manifest_people.py    the people in it

And what these use:

checksums.py          SHA-256 and size of the bytes that pass, and the ETag that S3 must have
container/            the duration of a WebM or MP4 file, from the bytes that pass
content_type.py       the media type of a file by its name
bandwidth.py          bytes per second of a replica
pauses.py             how long to wait before the next attempt
denials.py            when a file is given up that its source denies
verification.py       reads copies back, for `archive verify`
threads.py            threads of the archive's own, for calls that block
unforeseen.py         logs errors that nobody foresaw
errors.py             what can go wrong, and what happens then
"""
