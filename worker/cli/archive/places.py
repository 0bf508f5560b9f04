"""The places of copies that were made with another `WORKER_ARCHIVE_URL`."""

import os
from collections.abc import Iterator
from typing import Final

FOLDERS: Final = "file://"
MAX_SHOWN: Final = 10


class Places:
    """Counts objects by bucket or container, and those in folders by their common parent."""

    def __init__(self) -> None:
        self._objects: dict[str, int] = {}
        self._folder: str | None = None

    @property
    def objects(self) -> int:
        """How many objects were counted."""
        return sum(self._objects.values())

    def add(self, url: str) -> None:
        """Count an object by its URL."""
        scheme, _, rest = url.partition("://")
        place = FOLDERS if scheme == "file" else f"{scheme}://{rest.partition('/')[0]}"
        self._objects[place] = self._objects.get(place, 0) + 1
        if place == FOLDERS:
            folder = os.path.dirname(rest)  # noqa: PTH120 - a part of a URL
            self._folder = os.path.commonpath([self._folder or folder, folder])

    def lines(self) -> Iterator[str]:
        """How many objects were not read, and the commands that read them."""
        is_one = self.objects == 1
        yield (
            f"{self.objects:,} object{' lies' if is_one else 's lie'} elsewhere and "
            f"{'was' if is_one else 'were'} not read. To verify "
            f"{'it' if is_one else 'them'}, run, with the credentials of that place:"
        )
        for place, count in list(self._objects.items())[:MAX_SHOWN]:
            url = f"{FOLDERS}{self._folder}" if place == FOLDERS else place
            yield f"  recording-worker archive verify --archive-url {url}  # {count:,}"
