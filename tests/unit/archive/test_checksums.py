"""The checksums of the bytes that pass."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.archive.checksums import Checksums

PART = 64


@given(st.lists(st.binary(max_size=200), max_size=12))
def test_size_and_checksum_are_those_of_all_bytes(chunks: list[bytes]) -> None:
    body = b"".join(chunks)
    taken = checksums(chunks)
    assert taken.size == len(body)
    assert taken.sha256 == hashlib.sha256(body).hexdigest()


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=12))
def test_the_etag_that_s3_has_for_these_parts_is_a_proof(chunks: list[bytes]) -> None:
    assert checksums(chunks).prove(multipart_etag(b"".join(chunks)))


@given(st.binary(max_size=PART))
def test_the_etag_of_an_object_written_in_one_request_is_a_proof(body: bytes) -> None:
    assert checksums([body]).prove(f'"{md5(body).hex()}"')


@pytest.mark.parametrize(
    "etag",
    [None, "", '""', '"0x8DC"', f'"{"0" * 32}"', f'"{"0" * 32}-2"', '"1-2-3"', 'W/"a"'],
)
def test_any_other_etag_proves_nothing(etag: str | None) -> None:
    assert not checksums([b"x" * 100]).prove(etag)


def test_an_etag_of_parts_of_another_size_proves_nothing() -> None:
    body = bytes(range(200))
    assert not checksums([body]).prove(multipart_etag(body, part=50))


def test_without_etags_nothing_is_proved_and_the_checksum_is_the_same() -> None:
    body = bytes(range(200))
    taken = Checksums(PART, etag=False)
    taken.update(body)
    assert taken.sha256 == hashlib.sha256(body).hexdigest()
    assert not taken.prove(multipart_etag(body))


def checksums(chunks: list[bytes]) -> Checksums:
    taken = Checksums(PART)
    for chunk in chunks:
        taken.update(chunk)
    return taken


def multipart_etag(body: bytes, part: int = PART) -> str:
    parts = [md5(body[at : at + part]) for at in range(0, len(body), part)]
    return f'"{md5(b"".join(parts)).hex()}-{len(parts)}"'


def md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()
