"""Storage that commands name instead of carrying its secrets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from recording_schemas.composite import StorageConfig
from worker.settings.secret import Secret

MAX_PROFILES: Final = 1_000


class StorageProfiles(Mapping[str, Mapping[str, object]]):
    """Profile name to its `storage_config`, as the API wants it; follows the file.

    Shows names only. While a changed file is wrong, what it held before stays.
    """

    def __init__(self, text: Secret) -> None:
        self._text = text
        self._decoded = text.reveal()
        self._profiles = decode_profiles(self._decoded)

    @classmethod
    def from_file(cls, path: Path) -> "StorageProfiles":
        """Read and check the file at `path`.

        Raises:
            ValueError: naming the profile and the member that are wrong, never a value.
        """
        return cls(Secret.from_file(path, accept=decode_profiles))

    def sensitive_texts(self) -> Iterator[str]:
        """Every secret value in it, to be kept out of logs."""
        for profile in self._current().values():
            yield from profile.secrets()

    def __getitem__(self, name: str) -> Mapping[str, object]:
        built: dict[str, object] = msgspec.to_builtins(self._current()[name])
        return built

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def __repr__(self) -> str:
        return f"StorageProfiles({', '.join(self)})"

    def _current(self) -> Mapping[str, StorageConfig]:
        text = self._text.reveal()
        if text != self._decoded:
            self._profiles = decode_profiles(text)
            self._decoded = text
        return self._profiles


def decode_profiles(text: str) -> Mapping[str, StorageConfig]:
    """What the JSON object `text` holds, name by name.

    Raises:
        ValueError: naming the profile and the member that are wrong, never a value.
    """
    try:
        raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        raise ValueError("must hold a JSON object: profile name to storage_config") from None
    if len(raw) > MAX_PROFILES:
        raise ValueError(f"must hold at most {MAX_PROFILES} profiles")
    profiles = {}
    for name, one in raw.items():
        try:
            profiles[name] = msgspec.json.decode(one, type=StorageConfig)
        except msgspec.ValidationError as wrong:
            raise ValueError(f"profile {name!r}: {wrong}") from None
    return profiles
