"""Secrets never print their text, and follow changes of their file."""

import copy
import json
import os
import pickle
import threading
from pathlib import Path

import pytest

from worker.settings.secret import Secret, read_text, redact_url, sensitive_parts


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first\n")
    return file


def replace(path: Path, text: str) -> None:
    """Replace the file atomically, as Kubernetes does."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_a_secret_prints_as_secure_in_every_format() -> None:
    secret = Secret("sesame")
    assert (
        f"{secret} {secret!r} {secret:>10} {[secret]}" == "[secure] [secure]   [secure] [[secure]]"
    )


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_a_secret_cannot_be_copied_into_something_that_prints(leak: object) -> None:
    with pytest.raises(TypeError):
        leak(Secret("sesame"))  # type: ignore[operator]


def test_a_changed_file_is_noticed_within_five_seconds(path: Path, clock: Clock) -> None:
    secret = Secret.from_file(path, now=clock)
    replace(path, "second")
    clock.now += 5

    assert secret.reveal() == "second"
    assert secret.recent_texts() == ("first", "second")


def test_not_every_reveal_checks_the_file(path: Path, clock: Clock) -> None:
    secret = Secret.from_file(path, now=clock)
    replace(path, "second")
    clock.now += 1

    assert secret.reveal() == "first"


def test_a_refresh_reads_the_file_now(path: Path, clock: Clock) -> None:
    secret = Secret.from_file(path, now=clock)
    replace(path, "second")

    assert secret.refresh() is True
    assert secret.reveal() == "second"
    assert secret.refresh() is False


def test_a_link_to_another_file_is_a_change(tmp_path: Path, clock: Clock) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "token").write_text(version)
    (tmp_path / "current").symlink_to("v1")
    secret = Secret.from_file(tmp_path / "current" / "token", now=clock)

    (tmp_path / "next").symlink_to("v2")
    (tmp_path / "next").replace(tmp_path / "current")
    clock.now += 5

    assert secret.reveal() == "v2"


@pytest.mark.parametrize("trouble", ["missing", "empty", "unacceptable"])
def test_the_last_good_text_stays_while_the_file_is_wrong(
    path: Path, clock: Clock, trouble: str
) -> None:
    def accept(text: str) -> None:
        if text == "wrong":
            raise ValueError("must be right")

    secret = Secret.from_file(path, accept=accept, now=clock)
    path.unlink()
    if trouble != "missing":
        path.write_text("" if trouble == "empty" else "wrong")
    clock.now += 5
    assert secret.reveal() == "first"

    replace(path, "second")
    clock.now += 5
    assert secret.reveal() == "second"


def test_a_file_that_became_a_pipe_does_not_keep_the_worker_waiting(
    path: Path, clock: Clock
) -> None:
    secret = Secret.from_file(path, now=clock)
    path.unlink()
    os.mkfifo(path)
    silent = os.open(path, os.O_RDWR)
    clock.now += 5
    assert secret.reveal() == "first"
    os.close(silent)
    assert secret.refresh() is False


def test_a_pipe_without_a_writer_is_a_fault(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"is a pipe to which nothing was written for 0\.05 s"):
        read_text(path, pipe_timeout=0.05)


@pytest.mark.parametrize("is_written_before", [True, False])
def test_a_pipe_is_read_to_its_end(is_written_before: bool) -> None:
    """As from stdin, or from a shell's `<(…)`."""
    receiver, sender = os.pipe()

    def write() -> None:
        os.write(sender, b"first ")
        os.write(sender, b"second\n")
        os.close(sender)

    writing = threading.Thread(target=write)
    writing.start()
    if is_written_before:
        writing.join()
    try:
        assert read_text(Path(f"/dev/fd/{receiver}")) == "first second"
    finally:
        writing.join()
        os.close(receiver)


def test_only_the_last_five_texts_are_remembered(path: Path, clock: Clock) -> None:
    secret = Secret.from_file(path, now=clock)
    for number in range(20):
        replace(path, f"text {number}")
        secret.refresh()

    assert secret.recent_texts() == tuple(f"text {number}" for number in range(15, 20))


def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_bytes(b"\xef\xbb\xbfsesame\r\n")  # as editors on Windows write it
    assert Secret.from_file(path).reveal() == "sesame"


def test_a_secret_from_the_environment_has_nothing_to_refresh() -> None:
    assert Secret("sesame").refresh() is False


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://me:sesame@host:5672/vh", "amqp://me:***@host:5672/vh"),
        ("amqp://me:ses@me@host/", "amqp://me:***@host/"),
        ("postgresql://h/db?user=me&password=sesame", "postgresql://h/db?user=me&password=***"),
        ("https://h/file?X-Goog-Signature=sesame&n=1", "https://h/file?X-Goog-Signature=***&n=1"),
        ("sqlite:////var/state.db", "sqlite:////var/state.db"),
        ("amqp://host/", "amqp://host/"),
        ("amqp://me:ses,me@a:1,b,[::1]:2/v", "amqp://me:***@a:1,b,[::1]:2/v"),
        ("amqps://me:a%2Cb@[::1],b/?keyfile=k", "amqps://me:***@[::1],b/?keyfile=***"),
        ("amqp://me:ses/ame@a:1,b:2/", "[secure]"),
        ("amqp://me:ses/ame@host:1/", "[secure]"),
        ("http://[sesame", "[secure]"),
    ],
)
def test_a_redacted_url_shows_no_password(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_the_password_of_a_url_is_sensitive_in_both_spellings() -> None:
    assert sensitive_parts("amqp://u:a%2Fb@h") == ("amqp://u:a%2Fb@h", "a%2Fb", "a/b")
    assert sensitive_parts("token") == ("token",)


@pytest.mark.parametrize("scheme", ["amqps", "postgresql"])
def test_the_password_before_several_hosts_is_sensitive(scheme: str) -> None:
    url = f"{scheme}://u:a%2Cb@first,[::1]:2/"
    assert sensitive_parts(url) == (url, "a%2Cb", "a,b")
