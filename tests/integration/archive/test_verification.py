"""Objects that are read back from real storages and compared."""

import hashlib
from typing import Final

import msgspec
import pytest

from recording_schemas import FileReady, examples
from recording_schemas.archive_examples import MANIFEST
from worker.archive.storage import ArchiveStorage
from worker.archive.verification import OK, verify_copy, verify_manifest
from worker.domain.archive import CopiedFile
from worker.domain.archive_keys import KeyTemplate

BODY: Final = b"sound" * 1000
FILE: Final = next(event for event in examples.EVENTS if isinstance(event, FileReady))
CHECKSUM: Final = MANIFEST.files[0].sha256 or ""
HOSTILE: Final = (
    "../../etc/passwd",
    "..",
    "a\\b\x00\r\n\u202e.webm",
    "100%2F#?&=+ ü 東京 🎙.webm",
    'a:b*c?"<>|^`{}[]~.webm',
    "x" * 400 + ".webm",
    "manifest.json",
    "ends with a dot.",
    "...",
    " space ",
    "-",
)

pytestmark = pytest.mark.parametrize(
    "store_server", ["folder", "rclone", "moto", "azurite"], indirect=True
)


async def archived(storage: ArchiveStorage, key: str, body: bytes = BODY) -> CopiedFile:
    await storage.put(key, body, "audio/webm")
    return CopiedFile(
        archive_url=storage.url_of(key),
        size_bytes=len(BODY),
        sha256=hashlib.sha256(BODY).hexdigest(),
        content_type="audio/webm",
    )


async def test_hostile_file_names_are_archived_side_by_side_and_read_back(
    storage: ArchiveStorage,
) -> None:
    template = KeyTemplate.parse("{custom_participant_id}/{recording_id}/{file_name}")
    files = [
        msgspec.structs.replace(FILE, file_name=name, custom_participant_id=name)
        for name in HOSTILE
    ]
    keys = [template.render(app="eu", file=file, started=None) for file in files]
    copies = [await archived(storage, key) for key in keys]

    assert [await verify_copy(storage, copy) for copy in copies] == [OK] * len(HOSTILE)
    assert len({copy.archive_url for copy in copies}) == len(HOSTILE)


async def test_an_object_that_is_not_as_it_was_archived_is_noticed(
    storage: ArchiveStorage,
) -> None:
    shorter = await archived(storage, "a/shorter.webm", BODY[:-1])
    longer = await archived(storage, "a/longer.webm", BODY + b"!")
    changed = await archived(storage, "a/changed.webm", BODY.replace(b"s", b"S"))
    empty = await archived(storage, "a/empty.webm", b"")

    verdicts = [await verify_copy(storage, copy) for copy in (shorter, longer, changed, empty)]

    assert [verdict.result for verdict in verdicts] == ["differs"] * 4
    for verdict, words in zip(
        verdicts, ("4999 bytes", "more than 5000", "SHA-256", "0 bytes"), strict=True
    ):
        assert words in (verdict.detail or "")


async def test_an_object_that_is_gone_is_missing(storage: ArchiveStorage) -> None:
    copy = await archived(storage, "a/here.webm")
    gone = msgspec.structs.replace(copy, archive_url=storage.url_of("a/gone.webm"))

    assert (await verify_copy(storage, gone)).result == "missing"
    assert (await verify_manifest(storage, storage.url_of("a/no.json"), ())).result == "missing"


async def test_an_object_of_another_archive_is_not_read(storage: ArchiveStorage) -> None:
    copy = msgspec.structs.replace(
        await archived(storage, "a.webm"), archive_url="gs://other/a.webm"
    )

    verdict = await verify_copy(storage, copy)

    assert verdict.result == "elsewhere"
    assert "WORKER_ARCHIVE_URL" in (verdict.detail or "")


WHOLE: Final = msgspec.json.encode(MANIFEST)
MANIFESTS: Final[list[tuple[bytes, tuple[str, ...], str]]] = [
    (WHOLE, (CHECKSUM,), "ok"),
    (WHOLE, (), "ok"),
    (WHOLE, (CHECKSUM, "f" * 64), "differs"),
    (b"{}", (), "differs"),
    (b"\xff", (), "differs"),
    (b"[" * 100_000, (), "differs"),
]


async def test_a_manifest_is_read_and_lists_each_archived_file(storage: ArchiveStorage) -> None:
    for body, checksums, result in MANIFESTS:
        await storage.put("r/manifest.json", body, "application/json")

        verdict = await verify_manifest(storage, storage.url_of("r/manifest.json"), checksums)

        assert verdict.result == result, body[:20]
