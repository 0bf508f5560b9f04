"""Properties of a connection that are known before it is opened."""

import pytest

from worker.store.database.postgresql import (
    connection_parameters,
    longest_connect_seconds,
    new_credentials,
)


@pytest.mark.parametrize(
    ("url", "seconds"),
    [
        ("postgresql://u@a/db", 10),
        ("postgresql:///db", 10),
        ("postgresql://u@a,b,c/db", 20),
        ("postgresql://u@/db?host=a,b", 15),
        ("postgresql://u@a,b/db?connect_timeout=30", 65),
        ("postgresql://u@a/db?connect_timeout=0", 10),
    ],
)
def test_each_silent_host_may_take_its_time_before_the_next_one_is_tried(
    url: str, seconds: float
) -> None:
    """Otherwise a session that needs the last of three hosts could never be opened."""
    assert longest_connect_seconds(connection_parameters(url)) == seconds


@pytest.mark.parametrize(
    ("current", "credentials"),
    [
        ("postgresql://u:old@a/db", {}),
        ("postgresql://u:new@a/db", {"user": "u", "password": "new"}),
        ("postgres://v:n%40w@a/db", {"user": "v", "password": "n@w"}),
        ("postgresql://a/db?user=v&password=new", {"user": "v", "password": "new"}),
        ("postgresql://u@a/db", {"user": "u", "password": None}),
        ("postgresql://u:new@b/db", {}),
        ("postgresql://u:new@a/other", {}),
        ("sqlite:///state.db", {}),
    ],
)
def test_only_the_user_and_the_password_of_the_same_database_change(
    current: str, credentials: dict[str, str | None]
) -> None:
    """Otherwise a password could go to another host, or leases could be in two databases."""
    assert new_credentials("postgresql://u:old@a/db", current) == credentials
