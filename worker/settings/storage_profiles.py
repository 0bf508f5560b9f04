"""Reads storage profiles: named storage configurations, so that commands carry no secrets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from recording_schemas.composite import StorageConfig
from worker.settings.secret import Secret

MAX_PROFILES: Final = 1_000


class StorageProfiles(Mapping[str, Mapping[str, object]]):
    """Maps profile names to `storage_config` objects as the API expects them. Follows its file.

    Its repr shows names only. While a changed file is wrong, the last good content stays.
    """

    def __init__(self, text: Secret) -> None:
        self._text = text
        self._decoded_text = text.reveal()
        self._profiles = decode_profiles(self._decoded_text)

    @classmethod
    def from_file(cls, path: Path) -> "StorageProfiles":
        """Read and check the file at `path`.

        Raises:
            ValueError: names the wrong profile and field, never a value.
        """
        return cls(Secret.from_file(path, accept=decode_profiles))

    def sensitive_texts(self) -> Iterator[str]:
        """Every secret value, for removal from logs."""
        for profile in self._current().values():
            yield from profile.secrets()

    def __getitem__(self, name: str) -> Mapping[str, object]:
        storage_config: dict[str, object] = msgspec.to_builtins(self._current()[name])
        return storage_config

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def __repr__(self) -> str:
        return f"StorageProfiles({', '.join(self)})"

    def _current(self) -> Mapping[str, StorageConfig]:
        text = self._text.reveal()
        if text != self._decoded_text:
            self._profiles = decode_profiles(text)
            self._decoded_text = text
        return self._profiles


def decode_profiles(text: str) -> Mapping[str, StorageConfig]:
    """Decode a JSON object that maps profile names to storage configurations.

    Raises:
        ValueError: names the wrong profile and field, never a value.
    """
    try:
        raw_profiles = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        raise ValueError(
            "must hold a JSON object that maps profile names to storage_config objects"
        ) from None
    if len(raw_profiles) > MAX_PROFILES:
        raise ValueError(f"must hold at most {MAX_PROFILES} profiles, not {len(raw_profiles)}")
    return {name: _decode_profile(name, raw) for name, raw in raw_profiles.items()}


def _decode_profile(name: str, raw: msgspec.Raw) -> StorageConfig:
    try:
        return msgspec.json.decode(raw, type=StorageConfig)
    except msgspec.ValidationError as error:
        raise ValueError(f"profile {name!r}: {error}") from None
