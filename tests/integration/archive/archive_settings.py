"""Settings of an archive with short pauses, for tests that build one."""

from worker.domain.archive_keys import KeyTemplate
from worker.settings.archive import ArchiveSettings


def impatient_archive(url: str, *, concurrency: int) -> ArchiveSettings:
    """Keys by recording and file, parts of 5 MiB, and at most a second between two attempts."""
    return ArchiveSettings(
        archive_url=url,
        archive_key=KeyTemplate.parse("{recording_id}/{file_name}"),
        archive_manifest_key=KeyTemplate.parse_manifest("{recording_id}/manifest.json"),
        archive_concurrency=concurrency,
        archive_allow_private_sources=True,
        archive_max_bytes_per_second=None,
        archive_min_bytes_per_second=0,
        archive_part_bytes=5_242_880,
        archive_max_file_bytes=10**9,
        archive_timeout_seconds=60.0,
        archive_retry_max_seconds=1.0,
    )
