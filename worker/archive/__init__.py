"""The archive: copies finished files to the user's own storage, and proves each by its checksum.

The path of a file, from top to bottom:

assembly.py           builds the parts from the settings
archiver.py           takes due work from the store's queue, for a lease
file_copies.py        one attempt at a file: copy, decide by the error, commit
file_lease.py         proves that this replica still has the file
copier.py             download, checksums, upload, comparison
download/             the source: limited, resumed, only permitted addresses
storage/              the destination: S3, Google Cloud Storage, Azure or a folder
opening.py            opens the storage, if its libraries are installed
folder_mark.py        shows that the volume of a folder is mounted
abandoned_uploads.py  removes the parts of uploads whose process died
backfill.py           queues files that were announced while no archive was on
manifest_writer.py    one attempt at a manifest: compose, write, commit
manifest.py           composes the manifest of a recording
manifest_people.py    the people in it

They use these modules:

checksums.py          SHA-256 and size of the bytes, and the ETag that S3 must have
container/            the duration of a WebM or MP4 file, from its bytes
content_type.py       the media type of a file by its name
bandwidth.py          bytes per second of a replica
pauses.py             how long to wait before the next attempt
denials.py            when to give up a file whose source refuses it
verification.py       reads copies back, for `archive verify`
threads.py            the archive's threads, for calls that block
unexpected.py         logs unexpected errors
errors.py             the errors, and the reaction to each
"""
