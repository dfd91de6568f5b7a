import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import InvalidParameter
from argosy.network import ports
from argosy.network.ports import (
    ANY,
    Binding,
    PortHolder,
    PortTaken,
    Wanted,
    parse_port,
    parse_wanted,
    who_listens,
)

LOOPBACK = IPv4Address("127.0.0.1")


@pytest.fixture
def holder() -> Iterator[PortHolder]:
    made = PortHolder()
    yield made
    made.release(list(made._held))


def free_port(count: int = 1) -> int:
    """The first of `count` ports in a row that nobody uses."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first: int = probe.getsockname()[1]
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("0.0.0.0", port))
        except (OSError, OverflowError):
            continue
        return first


@given(st.integers(1, 65535), st.sampled_from(["tcp", "udp", "sctp"]))
def test_a_port_names_its_protocol_or_is_tcp(number: int, protocol: str) -> None:
    assert parse_port(f"{number}/{protocol.upper()}") == (number, protocol)
    assert parse_port(f"{number}") == (number, "tcp")


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "x", "80/", "80/icmp", "80/tcp/udp", "²", "8 0"])
def test_what_is_no_port_is_refused(text: str) -> None:
    if text == "80/":
        assert parse_port(text) == (80, "tcp")
        return
    with pytest.raises(InvalidParameter):
        parse_port(text)


@given(
    st.text(max_size=8),
    st.text(alphabet="0123456789.:", max_size=8),
    st.text(alphabet="0123456789-²", max_size=12),
)
def test_what_is_wanted_is_understood_or_refused(port: str, address: str, host_port: str) -> None:
    try:
        wanted = parse_wanted(port, address, host_port)
    except InvalidParameter:
        return
    assert 0 <= wanted.first <= wanted.last < 65536


@pytest.mark.parametrize(
    ("host_ip", "host_port", "expected"),
    [
        ("", "", Wanted(ANY, 0, 0, "tcp", 80)),
        ("127.0.0.1", "8080", Wanted(LOOPBACK, 8080, 8080, "tcp", 80)),
        ("::", "8080", Wanted(ANY, 8080, 8080, "tcp", 80)),
        ("0.0.0.0", "8000-8010", Wanted(ANY, 8000, 8010, "tcp", 80)),
    ],
)
def test_a_binding_of_the_api_is_read(host_ip: str, host_port: str, expected: Wanted) -> None:
    assert parse_wanted("80/tcp", host_ip, host_port) == expected


@pytest.mark.parametrize("host_port", ["x", "9-1", "65536", "-", "1-70000"])
def test_a_host_port_that_cannot_be_is_refused(host_port: str) -> None:
    if host_port == "-":
        assert parse_wanted("80", "", host_port).first == 0
        return
    with pytest.raises(InvalidParameter, match="invalid host port"):
        parse_wanted("80", "", host_port)


def test_an_address_that_the_network_does_not_have_is_refused_with_a_hint() -> None:
    with pytest.raises(InvalidParameter, match="no IPv6"):
        parse_wanted("80", "::1", "80")
    with pytest.raises(InvalidParameter, match="invalid host IP: nowhere"):
        parse_wanted("80", "nowhere", "80")


def test_a_held_port_cannot_be_taken_by_another_program(holder: PortHolder) -> None:
    port = free_port()
    held = holder.hold("web", [Wanted(LOOPBACK, port, port, "tcp", 80)])
    assert held == [Binding(LOOPBACK, port, "tcp", 80)]
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    holder.release(held)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))


def test_nothing_answers_at_a_held_port(holder: PortHolder) -> None:
    [held] = holder.hold("web", [Wanted(LOOPBACK, 0, 0, "tcp", 80)])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", held.host_port))


def test_without_a_port_the_kernel_chooses_one(holder: PortHolder) -> None:
    held = holder.hold("web", [Wanted(LOOPBACK, 0, 0, kind, 53) for kind in ("tcp", "udp")])
    assert all(binding.host_port for binding in held)
    assert [binding.protocol for binding in held] == ["tcp", "udp"]


def test_of_a_range_the_first_free_port_is_taken(holder: PortHolder) -> None:
    first = free_port(3)
    wanted = Wanted(ANY, first, first + 2, "tcp", 80)
    held = [holder.hold(name, [wanted])[0].host_port for name in "abc"]
    assert held == [first, first + 1, first + 2]
    with pytest.raises(
        PortTaken, match=f"Bind for 0.0.0.0:{first}-{first + 2} failed: port is already allocated"
    ):
        holder.hold("d", [wanted])


def test_who_wants_a_port_of_another_container_is_told_which(holder: PortHolder) -> None:
    port = free_port()
    wanted = Wanted(ANY, port, port, "tcp", 80)
    holder.hold("web", [wanted])
    with pytest.raises(
        PortTaken, match=f"Bind for 0.0.0.0:{port} failed: port is already allocated"
    ) as refused:
        holder.hold("other", [wanted])
    assert "Container web publishes" in refused.value.hint
    assert refused.value.status == 500


def test_who_wants_a_port_of_another_program_is_told_which(holder: PortHolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match="address already in use") as refused:
            holder.hold("web", [Wanted(LOOPBACK, port, port, "tcp", 80)])
    assert f"(pid {os.getpid()}) is using the port" in refused.value.hint


def test_an_address_that_is_not_this_hosts_is_refused(holder: PortHolder) -> None:
    with pytest.raises(PortTaken, match="cannot assign requested address"):
        holder.hold("web", [Wanted(IPv4Address("192.0.2.1"), 8080, 8080, "tcp", 80)])


def test_either_all_ports_are_held_or_none(holder: PortHolder) -> None:
    port = free_port()
    with pytest.raises(PortTaken):
        holder.hold("web", [Wanted(LOOPBACK, port, port, "tcp", 80), Wanted(LOOPBACK, port, port, "tcp", 81)])
    assert holder.hold("web", [Wanted(LOOPBACK, port, port, "tcp", 80)])


def test_ports_are_held_again_after_a_restart_and_lost_ones_named(holder: PortHolder) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours, lost = Binding(LOOPBACK, port, "tcp", 80), Binding(LOOPBACK, server.getsockname()[1], "tcp", 81)
        assert holder.hold_again("web", [ours, lost]) == [lost]
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_releasing_what_is_not_held_does_no_harm(holder: PortHolder) -> None:
    holder.release([Binding(LOOPBACK, 1, "tcp", 1)])


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_the_program_behind_a_port_is_found(kind: str) -> None:
    with socket.socket(socket.AF_INET, ports._KINDS[kind]) as server:
        server.bind(("127.0.0.1", 0))
        if kind == "tcp":
            server.listen()
        assert who_listens(kind, server.getsockname()[1]).endswith(f"(pid {os.getpid()})")


def test_nobody_is_found_behind_a_port_that_is_free() -> None:
    assert who_listens("tcp", free_port()) == ""
    assert who_listens("sctp", 1) == ""


def test_a_binding_is_shown_as_docker_shows_it() -> None:
    assert str(Binding(ANY, 8080, "tcp", 80)) == "0.0.0.0:8080/tcp"
