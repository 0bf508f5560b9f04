"""The checksums of the bytes that pass."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.archive.checksums import Checksums, PartHash

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


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=12))
def test_the_sha256_that_aws_keeps_of_these_parts_is_a_proof(chunks: list[bytes]) -> None:
    body = b"".join(chunks)
    checked = checksums(chunks, part_hash="sha256")
    of_parts = sha256_of_parts(body)
    assert checked.prove(of_parts)
    assert checked.prove(of_parts.partition("-")[0])
    assert not checked.prove(of_parts + "0")
    assert not checked.prove(sha256_of_parts(body[:-1]))
    assert not checked.prove(sha256_of_parts(bytes([body[0] ^ 1]) + body[1:]))
    assert checked.sha256 == hashlib.sha256(body).hexdigest()


@given(st.binary(max_size=PART))
def test_the_sha256_of_an_object_written_in_one_request_is_a_proof(body: bytes) -> None:
    assert checksums([body], part_hash="sha256").prove(in_base64(sha256(body)))


@pytest.mark.parametrize("checksum", [None, "", '""', "0" * 44, f"{'0' * 43}=-2", "opaque"])
def test_any_other_sha256_proves_nothing(checksum: str | None) -> None:
    assert not checksums([b"x" * 100], part_hash="sha256").prove(checksum)


def test_an_md5_is_no_proof_where_sha256_is_expected() -> None:
    body = bytes(range(200))
    assert not checksums([body], part_hash="sha256").prove(multipart_etag(body))


def test_without_a_hash_of_parts_nothing_is_proved_and_the_checksum_is_the_same() -> None:
    body = bytes(range(200))
    taken = checksums([body], part_hash=None)
    assert taken.sha256 == hashlib.sha256(body).hexdigest()
    assert not taken.prove(multipart_etag(body))


def checksums(chunks: list[bytes], *, part_hash: PartHash | None = "md5") -> Checksums:
    taken = Checksums(PART, part_hash=part_hash)
    for chunk in chunks:
        taken.update(chunk)
    return taken


def multipart_etag(body: bytes, part: int = PART) -> str:
    parts = [md5(body[at : at + part]) for at in range(0, len(body), part)]
    return f'"{md5(b"".join(parts)).hex()}-{len(parts)}"'


def md5(body: bytes) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def sha256_of_parts(body: bytes) -> str:
    parts = [sha256(body[at : at + PART]) for at in range(0, len(body), PART)]
    return f"{in_base64(sha256(b''.join(parts)))}-{len(parts)}"


def sha256(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def in_base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
