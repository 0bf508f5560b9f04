"""URLs in several spellings."""

import pytest

from worker.realtimekit.urls import is_same_url

URL = "https://hooks.example.com/webhooks/realtimekit?app=eu"


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (URL, True),
        (URL.replace("hooks.example", "Hooks.Example"), True),
        (URL.replace(".com", ".com:443"), True),
        (URL.replace(".com", ".com:8443"), False),
        (URL.replace("https", "http"), False),
        (URL.replace("eu", "EU"), False),
        (URL.partition("?")[0], False),
        ("https://[/", False),
        ("", False),
    ],
)
def test_only_spellings_that_mean_the_same_are_one_url(other: str, is_same: bool) -> None:
    assert is_same_url(URL, other) is is_same
    assert is_same_url(other, URL) is is_same
