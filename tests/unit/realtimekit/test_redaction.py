"""Which texts count as secrets, and that redaction leaves no trace of them."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from worker.realtimekit.redaction import (
    MAX_SENT_SECRETS,
    MAX_TEXT_BYTES,
    SentSecrets,
    redact,
    secrets_in,
)
from worker.realtimekit.spellings import MIN_PLAIN_LENGTH, plain_bytes


@pytest.mark.parametrize(
    "field",
    ["access_key", "secret", "password", "private_key", "username", "account_id", "new_tomorrow"],
)
def test_every_storage_field_that_is_not_known_as_harmless_is_a_secret(field: str) -> None:
    assert secrets_in({"storage_config": {"type": "aws", field: "value"}}) == ("value",)


@pytest.mark.parametrize("field", ["type", "bucket", "region", "path", "host", "auth_method"])
def test_the_location_of_a_storage_is_no_secret(field: str) -> None:
    assert secrets_in({"storage_config": {field: "value"}}) == ()


def test_the_key_in_an_rtmp_target_is_a_secret_by_itself() -> None:
    url = "rtmp://live.example/app-one/key-to-the-stream"
    assert secrets_in({"rtmp_out_config": {"rtmp_url": url}}) == (
        url,
        "app-one",
        "key-to-the-stream",
    )


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"storage_config": None},
        {"storage_config": "x"},
        {"storage_config": {"secret": None, "port": 22}},
        {"rtmp_out_config": {}},
    ],
)
def test_a_body_may_have_no_secret(body: dict[str, object] | None) -> None:
    assert secrets_in(body) == ()


def test_a_secret_within_a_secret_leaves_no_remainder() -> None:
    assert redact("my abcdef!", ("abc", "abcdef")) == "my [secure]!"


SECRETS = [
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLE==",
    "correct horse & <battery>\t'staple\"",
    "p%41ss\\nword\\u0041&amp;",
    "Schlüssel🔑漢字",
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----",
]


def percent_encoded(text: str, *, lower: bool = False) -> str:
    form = "%{:02x}" if lower else "%{:02X}"
    return "".join(form.format(byte) for byte in text.encode())


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, slashes kept": quote,
    "percent, lower case": lambda text: quote(text, safe="").replace("%2F", "%2f"),
    "percent, every byte": percent_encoded,
    "percent, every byte, lower case": lambda text: percent_encoded(text, lower=True),
    "percent twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, slashes escaped": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON twice": lambda text: json.dumps(json.dumps(text)),
    "JSON, every character": lambda text: "".join(
        f"\\u{ord(letter):04X}" for letter in text if ord(letter) < 65_536
    ),
    "JavaScript, every character": lambda text: "".join(
        f"\\u{{{ord(letter):x}}}" for letter in text
    ),
    "octal, every byte": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "percent and u": lambda text: "".join(
        f"%u{unit:04X}" for unit in memoryview(text.encode("utf-16-le")).cast("H")
    ),
    "HTML": html.escape,
    "HTML, decimal": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(letter):X};" for letter in text),
    "HTML twice": lambda text: html.escape(html.escape(text)),
    "HTML of JSON": lambda text: html.escape(json.dumps(text)),
    "Python": repr,
    "Base64": in_base64,
    "Base64 of a login": lambda text: in_base64(f"user:{text}"),
    "Base64 within words": lambda text: f"is/{in_base64('ab' + text)}",
    "Base64, URL-safe": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "Base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "Base64 in percents": lambda text: quote(in_base64(text), safe=""),
    "Base64 twice": lambda text: in_base64(in_base64(text)),
    "Base64 of JSON": lambda text: in_base64(json.dumps({"secret": text})),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_is_left_in_any_spelling(secret: str, spelling: str) -> None:
    if spelling == "JSON, every character":
        secret = "".join(letter for letter in secret if ord(letter) < 65_536)
    encoded = SPELLINGS[spelling](secret)
    shown = redact(f"The upload failed ({encoded}) at once.", [secret])
    assert encoded not in shown
    assert "[secure]" in shown
    assert shown.startswith("The upload failed ")
    assert shown.endswith(" at once.")
    remainder = shown.removeprefix("The upload failed ").removesuffix(" at once.")
    assert len(remainder.replace("[secure]", "")) <= 40, remainder


@pytest.mark.parametrize("spelling", ["plain", "percent, every byte", "Base64"])
@pytest.mark.parametrize("length", [12, 20, 39])
def test_a_secret_that_the_api_cuts_off_is_not_left(length: int, spelling: str) -> None:
    secret = "wJalrXUtnFEMI/K7MDENGxbPxRfiCYEXAMPLEKEY"  # noqa: S105
    for part in (secret[:length], secret[-length:]):
        shown = redact(f"The secret {SPELLINGS[spelling](part)}... is wrong", [secret])
        assert shown.startswith("The secret [secure]")
        assert shown.endswith("... is wrong")
        assert len(shown) <= len("The secret [secure]... is wrong") + 4


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8))
def test_no_secret_is_left_in_any_of_its_encodings(secret: str) -> None:
    assume(len(plain_bytes(secret)) >= MIN_PLAIN_LENGTH)  # Of "000     " only 000 is left to find.
    as_json = (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    for form in (secret, *as_json, quote(secret, safe=""), html.escape(secret)):
        assert form not in redact(f"<{form}>", [secret]).replace("[secure]", "")


def test_a_text_without_the_secret_is_left_as_it_is() -> None:
    text = "The bucket my+bucket at 100% &amp; more does not exist: C:\\new\\table aGVsbG8gd29ybGQ="
    assert redact(text, ["hunter2-hunter2"]) == text


def test_a_text_that_is_cut_leaves_no_beginning_of_a_secret() -> None:
    letters = "0123456789abcdefghijklmnop"
    for fill in (MAX_TEXT_BYTES - 25, MAX_TEXT_BYTES - 4):
        assert "0123" not in redact("x" * fill + letters, [letters])


def test_a_secret_is_found_behind_any_number_of_backslashes() -> None:
    shown = redact("\\" * 16_000 + "u0068unter2-\\\\\\\\u0068unter2", ["hunter2-hunter2"])
    assert shown == "\\" * 15_999 + "[secure]"


def test_secrets_of_earlier_requests_are_remembered_up_to_a_bound() -> None:
    sent = SentSecrets()
    sent.add(f"secret-{number}" for number in range(MAX_SENT_SECRETS + 1))
    assert "secret-0" not in sent.all()
    assert f"secret-{MAX_SENT_SECRETS}" in sent.all()


def test_a_short_secret_is_no_secret_in_the_answers_to_other_requests() -> None:
    sent = SentSecrets()
    sent.add(["e", "abc", "abcd"])
    assert sent.all() == ("abcd",)
