"""Which URLs a file may be downloaded from."""

import pytest

from worker.archive.download.source_url import parse_source_url, shown
from worker.archive.errors import SourceDoubtful


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "ftp://files.example.com/a",
        "http://files.example.com/a",
        "https://",
        "https:///a",
        "https://user@files.example.com/a",
        "https://user:word@files.example.com/a",
        "https://files.example.com:0/a",
        "https://files.example.com:99999/a",
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://[::ffff:10.0.0.1]:8443/a",
        "https://169.254.169.254/latest/meta-data",
        "https://" + "a" * 64 + ".example.com/",
        "https://files.example.com\n/a",
        "//files.example.com/a",
        "https://xn--/a",
        "https://xn--a.example.com/a",
        "files.example.com/a",
    ],
)
def test_a_url_from_which_nothing_is_read_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SourceDoubtful) as refused:
        parse_source_url(f"{url}?signature=sesame", allow_private=False)
    assert "sesame" not in str(refused.value)
    assert "word" not in str(refused.value).replace("password", "")


@pytest.mark.parametrize("url", ["https://files.example.com/a?b=c", "https://1.1.1.1:8443/a"])
def test_an_https_url_of_a_public_host_is_taken(url: str) -> None:
    assert str(parse_source_url(url, allow_private=False)) == url


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/a", "https://[::1]/a", "http://minio/a"])
def test_http_and_private_addresses_are_taken_if_the_setting_says_so(url: str) -> None:
    assert str(parse_source_url(url, allow_private=True)) == url


def test_messages_show_a_url_without_its_query() -> None:
    url = parse_source_url(
        "https://files.example.com:8443/a%20b?signature=sesame#part", allow_private=False
    )
    assert shown(url) == "https://files.example.com:8443/a%20b"
