"""Checks AMQP_URL before anything connects. No error repeats a part that may be a password."""

import re
import ssl
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from yarl import URL

from worker.domain.hosts import (
    IMPOSSIBLE_HOST,
    Host,
    HostsUrl,
    hosts_of,
    is_possible_host,
    split_hosts_url,
)
from worker.settings.parsing import url_parts

SYNTAX: Final = (
    "must be a URL such as amqp://user:password@host:5672/vhost, or amqps://, "
    "with commas between several hosts"
)
MAX_HEARTBEAT_SECONDS: Final = 300
MAX_VHOST_BYTES: Final = 255
"""The maximum length of a virtual host's name in AMQP."""

_CERTIFICATES: Final = ("cafile", "certfile", "keyfile")
_PARAMETERS: Final = ("heartbeat", "auth", *_CERTIFICATES, "capath", "cadata", "no_verify_ssl")
_CHOICES: Final = {"auth": ("plain", "external"), "no_verify_ssl": ("0", "1")}
"""With another `auth` the library ends the worker. It reads any other `no_verify_ssl`, even
`false`, as 1."""


def amqp_url(text: str) -> str:
    """Check an amqp or amqps URL with its hosts, and that its certificate files are readable."""
    parts = None if re.search(r"[\s\x00-\x1f\x7f]", text) else split_hosts_url(text)
    if parts is None or parts.scheme not in {"amqp", "amqps"} or not parts.has_valid_hosts:
        raise ValueError(SYNTAX)
    _check_credentials(parts)
    if not all(
        is_possible_host(server.name) for server in hosts_of(parts.hosts_text) if server.name
    ):
        raise ValueError(IMPOSSIBLE_HOST)
    if not all(_can_be_reached(parts, server) for server in hosts_of(parts.hosts_text)):
        raise ValueError(SYNTAX)
    _check_vhost(parts)
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    for name, value in parameters:
        _check_parameter(name, value, uses_tls=parts.scheme == "amqps")
    _check_once([name for name, _ in parameters])
    _check_pem_files(dict(parameters))
    return text


def _check_credentials(parts: HostsUrl) -> None:
    user_info = parts.user_info or ""
    if re.search(r"@[^@]*,", f"{user_info}@"):
        raise ValueError("must name user and password once, before the first of several hosts")
    if "," in user_info.partition(":")[0]:
        raise ValueError(
            "must name user and password before the first of several hosts; "
            "a comma in the user is %2C"
        )
    if "\\" in user_info:
        raise ValueError(r"must have %5C in place of \ in user and password")


def _can_be_reached(parts: HostsUrl, server: Host) -> bool:
    """Whether there is a host, and the library accepts the URL with this host alone."""
    url = parts.with_host(str(server))
    if not server.name or url_parts(url) is None:
        return False
    try:
        URL(url)
        return ":" not in server.name or IPv6Address(server.name) is not None
    except ValueError:
        return False


def _check_vhost(parts: HostsUrl) -> None:
    path, fragment, _ = parts.rest.partition("#")
    if fragment:
        raise ValueError("must have %23 in place of # in the name of the virtual host")
    if len(unquote_to_bytes(path.partition("?")[0])) - 1 > MAX_VHOST_BYTES:
        raise ValueError(f"must name a virtual host of at most {MAX_VHOST_BYTES} bytes")


def _check_parameter(name: str, value: str, *, uses_tls: bool) -> None:
    if name not in _PARAMETERS:
        known = ", ".join(_PARAMETERS)
        raise ValueError(f"has a parameter after `?` that is none of {known}")
    if name in _CERTIFICATES:
        _check_certificate(name, value, uses_tls=uses_tls)
    if name == "heartbeat":
        _check_heartbeat(value)
    if name in _CHOICES and value.lower() not in _CHOICES[name]:
        raise ValueError(f"must have {' or '.join(_CHOICES[name])} as its {name}, not {value!r}")


def _check_once(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"has the parameter {name} more than once")


def _check_heartbeat(text: str) -> None:
    """Raise ValueError if a silent broker would not be noticed within minutes."""
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_HEARTBEAT_SECONDS:
        raise ValueError(
            f"must have a heartbeat of 1 to {MAX_HEARTBEAT_SECONDS} whole seconds, not {text!r}"
        )


def _check_certificate(parameter: str, path: str, *, uses_tls: bool) -> None:
    """Raise ValueError for an unreadable file, because the library's own error does not name it."""
    if not uses_tls:
        raise ValueError(f"must begin with amqps:// when it names a {parameter}")
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise ValueError(
            f"must name a {parameter} that can be read, not {path}: {error.strerror}"
        ) from None


def _check_pem_files(parameters: Mapping[str, str]) -> None:
    """Raise ValueError if the library could not use the files. Its errors name none of them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if cafile := parameters.get("cafile"):
        try:
            context.load_verify_locations(cafile)
        except ssl.SSLError:
            raise ValueError(f"must name a cafile of PEM certificates, not {cafile}") from None
    certfile, keyfile = parameters.get("certfile"), parameters.get("keyfile")
    if keyfile and not certfile:
        raise ValueError("must name a certfile when it names a keyfile")
    if certfile:
        try:
            # Without a password here, OpenSSL would ask for it on the terminal.
            context.load_cert_chain(certfile, keyfile, password="")
        except (ssl.SSLError, ValueError):
            raise ValueError(
                f"must name a certfile of a PEM certificate and a keyfile with its key, without a "
                f"passphrase, not {certfile} and {keyfile or 'nothing'}"
            ) from None
