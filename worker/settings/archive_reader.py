"""The settings of subcommands that read the archive without a worker."""

from worker.settings.archive import ArchiveSettings
from worker.settings.settings import CommonSettings


class ArchiveReaderSettings(CommonSettings, frozen=True, kw_only=True):
    """The settings of every subcommand, and those of the archive."""

    archive: ArchiveSettings
