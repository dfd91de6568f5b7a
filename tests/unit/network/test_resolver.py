from argosy.network.resolver import hosts, resolv_conf

HOST = """\
# comment
nameserver 127.0.0.53
nameserver 192.0.2.1   # ours
nameserver ::1
search example.org corp.example
options edns0 trust-ad
"""


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_servers_on_the_hosts_loopback_are_left_out() -> None:
    assert lines(resolv_conf(HOST)) == [
        "nameserver 192.0.2.1",
        "search example.org corp.example",
        "options edns0 trust-ad",
    ]


def test_in_the_hosts_own_network_its_loopback_is_reachable() -> None:
    kept = lines(resolv_conf(HOST, loopback=True))
    assert kept[:3] == ["nameserver 127.0.0.53", "nameserver 192.0.2.1", "nameserver ::1"]


def test_without_a_server_the_public_ones_are_used() -> None:
    assert lines(resolv_conf("nameserver 127.0.0.1\n")) == ["nameserver 8.8.8.8", "nameserver 8.8.4.4"]


def test_what_was_asked_for_replaces_what_the_host_has() -> None:
    made = resolv_conf(HOST, ["198.51.100.1"], ["lan"], ["ndots:2"])
    assert lines(made) == ["nameserver 198.51.100.1", "search lan", "options ndots:2"]


def test_a_dot_means_no_search_domain() -> None:
    assert not any(line.startswith("search") for line in lines(resolv_conf(HOST, search=["."])))


def test_a_broken_file_of_the_host_does_no_harm() -> None:
    assert lines(resolv_conf("nameserver\n\nnonsense here\nnameserver fe80::1%eth0\n")) == [
        "nameserver fe80::1%eth0"
    ]


def test_a_hosts_file_knows_localhost_and_the_container() -> None:
    text = hosts([("10.0.0.2", "web.example web")], [("10.0.0.9", "db")])
    assert text.startswith("127.0.0.1\tlocalhost\n")
    assert text.endswith("10.0.0.9\tdb\n10.0.0.2\tweb.example web\n")
