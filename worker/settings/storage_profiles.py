"""Reads storage profiles: named storage configurations, so that commands carry no secrets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from recording_schemas.composite import StorageConfig
from recording_schemas.explain import explain
from recording_schemas.values import ProfileName
from worker.settings.json_files import MAX_SHOWN, decode_object
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
    profiles = decode_object(
        text, "must hold a JSON object that maps profile names to storage_config objects"
    )
    if len(profiles) > MAX_PROFILES:
        raise ValueError(f"must hold at most {MAX_PROFILES} profiles, not {len(profiles)}")
    return {name: _decode_profile(name, fields) for name, fields in profiles.items()}


def _decode_profile(name: str, fields: object) -> StorageConfig:
    shown = repr(name[:MAX_SHOWN])
    try:
        msgspec.convert(name, ProfileName)
    except msgspec.ValidationError:
        raise ValueError(
            f"profile name {shown} must be 1 to 128 characters without control characters"
        ) from None
    try:
        return msgspec.convert(fields, StorageConfig)
    except msgspec.ValidationError as error:
        fault = explain(error, StorageConfig)
    message = fault.message if fault.field else fault.fault
    raise ValueError(f"profile {shown}: {message}")
