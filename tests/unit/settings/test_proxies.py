"""Which proxy leads to a URL."""

from pathlib import Path

import pytest

from worker.domain.errors import WrongSettings
from worker.domain.hosts import IMPOSSIBLE_HOST
from worker.settings.proxies import ProxyChoice
from worker.settings.settings import Settings

REQUIRED = {
    "REALTIMEKIT_ACCOUNT_ID": "account",
    "REALTIMEKIT_APP_ID": "app",
    "REALTIMEKIT_API_TOKEN": "token",
}
API = "https://api.example.com/client/v4"


def settings_with(**environ: str) -> Settings:
    return Settings.from_env(REQUIRED | environ)


def faults_of(**environ: str) -> tuple[str, ...]:
    with pytest.raises(WrongSettings) as raised:
        settings_with(**environ)
    return raised.value.faults


def choice(url: str = API, **environ: str) -> ProxyChoice:
    return settings_with(**environ).proxies.choose(url)


def chosen(url: str = API, **environ: str) -> str | None:
    proxy = choice(url, **environ).proxy
    return None if proxy is None else proxy.reveal()


def test_without_a_proxy_variable_connections_are_direct() -> None:
    assert choice() == (None, None)


def test_https_proxy_counts_before_all_proxy_and_lower_case_before_upper_case() -> None:
    proxies = {"HTTPS_PROXY": "http://one:1", "ALL_PROXY": "http://two:2"}
    assert chosen(**proxies) == "http://one:1"
    assert choice(**proxies).variable == "HTTPS_PROXY"
    assert chosen("http://api.example.com/", **proxies) == "http://two:2"
    assert chosen(**proxies, https_proxy="http://three:3") == "http://three:3"
    assert chosen(ALL_PROXY="http://two:2") == "http://two:2"


def test_a_proxy_without_a_scheme_is_an_http_proxy() -> None:
    assert chosen(HTTPS_PROXY="proxy:3128") == "http://proxy:3128"
    assert chosen(HTTPS_PROXY="https://me:pw@[::1]:3128/") == "https://me:pw@[::1]:3128/"


@pytest.mark.parametrize(
    "exceptions",
    [
        "*",
        "api.example.com",
        "example.com",
        ".example.com",
        "*.example.com",
        "other.test, EXAMPLE.com ,",
        "other.test example.com",
        "api.example.com:443",
    ],
)
def test_no_proxy_names_hosts_and_domains(exceptions: str) -> None:
    assert choice(HTTPS_PROXY="p:1", NO_PROXY=exceptions) == (None, "NO_PROXY")


@pytest.mark.parametrize(
    "exceptions", ["", ",", "ample.com", "api.example.com:80", "www.api.example.com", "[::1", "a:b"]
)
def test_no_proxy_leaves_other_hosts_to_the_proxy(exceptions: str) -> None:
    assert choice(HTTPS_PROXY="p:1", NO_PROXY=exceptions).variable == "HTTPS_PROXY"


@pytest.mark.parametrize(
    ("host", "exceptions", "is_direct"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:8443", False),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[fd00::1]", "fd00::/8", True),
        ("[fd00::1]", "[fd00::1]", True),
        ("[fd00::1]", "10.0.0.0/8", False),
        ("api.example.com", "10.0.0.0/8", False),
    ],
)
def test_no_proxy_names_addresses_and_networks(host: str, exceptions: str, is_direct: bool) -> None:
    found = choice(f"https://{host}/v4", HTTPS_PROXY="p:1", NO_PROXY=exceptions)
    assert (found.proxy is None) == is_direct


@pytest.mark.parametrize(
    "url", ["socks5://me:sesame@p:1", "http://", "http://me:ses/ame@p", "p:port", "p:1/x", "a,b"]
)
def test_a_proxy_of_another_kind_is_a_fault_without_its_password(url: str) -> None:
    (fault,) = faults_of(HTTPS_PROXY=url)
    assert fault.startswith("HTTPS_PROXY: must be http://host:port or https://host:port")
    assert "ses" not in fault


def test_a_space_in_the_host_of_a_proxy_is_a_fault() -> None:
    assert faults_of(HTTPS_PROXY="http://my proxy:3128") == (f"HTTPS_PROXY: {IMPOSSIBLE_HOST}",)


def test_the_password_of_a_proxy_is_a_sensitive_text() -> None:
    read = settings_with(https_proxy="http://me:open%20sesame@p:1")
    assert "open sesame" in set(read.sensitive_texts()())
    assert "sesame" not in repr(read)


def test_authorities_that_cannot_be_used_are_a_fault(tmp_path: Path) -> None:
    missing, no_pem = tmp_path / "ca.pem", tmp_path / "no.pem"
    no_pem.write_text("no certificates")
    faults = faults_of(SSL_CERT_FILE=str(missing), SSL_CERT_DIR=f"{tmp_path}:{missing}")
    pem = "must name a file of PEM certificates"
    assert faults == (
        f"SSL_CERT_FILE: {pem}, not {missing}: No such file or directory",
        f"SSL_CERT_DIR: must name directories of PEM certificates, not {missing}",
    )
    (fault,) = faults_of(SSL_CERT_FILE=str(no_pem))
    assert fault.endswith(f"not {no_pem}: it holds no certificates")


def test_an_impossible_directory_of_certificates_is_a_fault() -> None:
    (only,) = faults_of(SSL_CERT_DIR="x" * 300)
    assert only.startswith("SSL_CERT_DIR: must name directories of PEM certificates")
