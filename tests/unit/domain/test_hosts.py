"""A URL with several hosts becomes one URL for each, and nothing of it is lost."""

from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from worker.broker.broker_url import host_of, urls_of, user_of
from worker.domain.hosts import Host, hosts_of, url_of_each_host

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,9}(\.[a-z]{2,5})?", fullmatch=True)
ADDRESSES = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
HOSTS = st.builds(Host, NAMES | ADDRESSES, st.none() | st.integers(1, 65_535))
USERS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=12)


@given(st.lists(HOSTS, min_size=1, max_size=4), USERS, USERS, st.sampled_from(["amqp", "amqps"]))
def test_each_host_has_the_credentials_the_vhost_and_the_parameters(
    hosts: list[Host], user: str, password: str, scheme: str
) -> None:
    credentials = URL.build(scheme=scheme, host="h", user=user, password=password).raw_authority
    text = (
        f"{scheme}://{credentials.rpartition('@')[0]}@{','.join(map(str, hosts))}/%2Fv?auth=plain"
    )
    urls = urls_of(text)
    default = 5672 if scheme == "amqp" else 5671
    expected = [str(Host(host.name, host.port or default)) for host in hosts]
    assert [host_of(url) for url in urls] == expected
    for url in urls:
        assert (url.user, url.password, url.scheme) == (user, password, scheme)
        assert (url.raw_path, url.query["auth"], url.query["heartbeat"]) == ("/%2Fv", "plain", "10")


@given(st.lists(HOSTS, min_size=1, max_size=4))
def test_hosts_are_read_as_they_are_written(hosts: list[Host]) -> None:
    assert list(hosts_of(",".join(map(str, hosts)))) == hosts


def test_one_host_stays_as_it_is() -> None:
    url = "amqp://u:p%40@host:1/v?heartbeat=3#x"
    assert url_of_each_host(url) == (url,)


def test_a_certificate_may_name_another_user_than_the_url() -> None:
    assert user_of(URL("amqps://h/?auth=external")) is None
    assert user_of(URL("amqp://h/")) == "guest"
