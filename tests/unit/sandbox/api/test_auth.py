"""Which bearer tokens are valid."""

from recording_sandbox.api.auth import Tokens
from recording_sandbox.model.behaviour import Behaviour


def test_any_bearer_token_is_valid_until_it_is_revoked() -> None:
    tokens = Tokens(Behaviour())
    before = tokens.number("Bearer secret")

    tokens.revoke("secret")

    assert (before, tokens.number("Bearer secret")) == (1, None)
    assert tokens.number("Bearer other") is not None


def test_in_strict_mode_only_listed_tokens_are_valid() -> None:
    tokens = Tokens(Behaviour(strict=True), ("listed",))

    assert tokens.number("bearer listed") is not None
    assert tokens.number("Bearer other") is None


def test_a_missing_token_and_another_scheme_are_invalid() -> None:
    tokens = Tokens(Behaviour())

    numbers = [tokens.number(header) for header in (None, "", "Bearer", "Bearer ", "Basic eDp5")]

    assert numbers == [None] * 5


def test_no_token_is_stored_in_plain_text() -> None:
    tokens = Tokens(Behaviour(), ("listed-secret",))
    tokens.number("Bearer used-secret")

    assert "secret" not in repr(vars(tokens))
