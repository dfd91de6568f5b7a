"""The nftables table on a real kernel, in a network namespace of its own. Needs root."""

import os
import select
import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_interface

import pytest

from argosy.linux import namespaces, netlink, nft
from argosy.network.firewall import Firewall, Publication

pytestmark = pytest.mark.root
Run = Callable[[Callable[[], None]], None]
NETWORK = ("agt0", IPv4Network("10.230.0.0/24"))
CONTAINER = IPv4Address("10.230.0.2")


def publication(port: int, host: str = "", protocol: str = "tcp") -> Publication:
    return Publication(IPv4Address(host) if host else None, port, protocol, CONTAINER, 80)


def elements(*publications: Publication) -> dict[tuple[str, bytes], bytes]:
    return {(name, key): data for name, key, data in (item.element() for item in publications)}


def table_exists(name: str) -> bool:
    with netlink.Socket(nft.NETLINK_NETFILTER) as netfilter:
        return nft.table_exists(netfilter, name)


def test_what_is_published_can_be_listed_and_withdrawn(in_new_network: Run) -> None:
    def body() -> None:
        firewall = Firewall("agt")
        first, second = publication(8080), publication(8080, "127.0.0.1", "udp")
        firewall.install([NETWORK], [first])
        assert firewall.published() == elements(first)
        firewall.publish([second])
        assert firewall.published() == elements(first, second)
        firewall.withdraw([first])
        assert firewall.published() == elements(second)

    in_new_network(body)


def test_installing_replaces_whatever_was_there(in_new_network: Run) -> None:
    def body() -> None:
        firewall = Firewall("agt")
        firewall.install([NETWORK], [publication(1), publication(2)])
        firewall.install([NETWORK], [publication(3)])
        assert firewall.published() == elements(publication(3))

    in_new_network(body)


def test_two_engines_tables_do_not_touch_one_another(in_new_network: Run) -> None:
    def body() -> None:
        one, other = Firewall("agt1"), Firewall("agt2")
        one.install([NETWORK], [publication(1)])
        other.install([], [publication(2)])
        one.uninstall()
        one.uninstall()
        assert not table_exists("agt1")
        assert other.published() == elements(publication(2))

    in_new_network(body)


def test_whoever_changes_a_rule_is_noticed_once(in_new_network: Run) -> None:
    def body() -> None:
        changes = nft.Changes()
        assert changes.seen()
        assert not changes.seen()
        Firewall("agt").install([NETWORK], [publication(number) for number in range(1, 400)])
        assert changes.seen()
        assert not changes.seen()

    in_new_network(body)


def test_publishing_is_all_or_nothing(in_new_network: Run) -> None:
    def body() -> None:
        firewall = Firewall("agt")
        firewall.install([NETWORK], [publication(1)])
        other = publication(1)._replace(container_port=81)
        with pytest.raises(FileExistsError):
            firewall.publish([publication(2), other, publication(3)])
        assert firewall.published() == elements(publication(1))
        firewall.publish([publication(4)])
        assert firewall.published() == elements(publication(1), publication(4))
        with pytest.raises(FileNotFoundError):
            firewall.withdraw([publication(1), publication(9)])
        assert firewall.published() == elements(publication(1), publication(4))

    in_new_network(body)


@pytest.mark.parametrize("count", [400, 4000])
def test_thousands_of_ports_are_published_at_once(in_new_network: Run, count: int) -> None:
    def body() -> None:
        firewall = Firewall("agt")
        many = [publication(port) for port in range(1, count + 1)]
        firewall.install([NETWORK], many)
        assert len(firewall.published()) == count
        firewall.withdraw(many)
        firewall.publish(many)
        assert firewall.published() == elements(*many)

    in_new_network(body)


def test_networks_come_and_go(in_new_network: Run) -> None:
    def body() -> None:
        firewall = Firewall("agt")
        firewall.install([], [])
        second = ("agt1", IPv4Network("10.231.0.0/16"))
        firewall.add_network(*NETWORK)
        firewall.add_network(*second)
        firewall.remove_network(*NETWORK)
        firewall.add_network(*NETWORK)
        firewall.remove_network(*second)

    in_new_network(body)


def _container(port: int) -> tuple[int, int]:
    """A process in a namespace of its own that sends back what it is sent: its pid, and a pipe that ends it."""
    ready, tell = os.pipe()
    wait, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        namespaces.unshare(namespaces.CLONE_NEWNET)
        os.write(tell, b"1")
        os.read(wait, 1)
        with socket.create_server(("0.0.0.0", port)) as listener:
            os.write(tell, b"2")
            while True:
                readable, _, _ = select.select([listener.fileno(), wait], [], [])
                if wait in readable:
                    os._exit(0)
                peer, address = listener.accept()
                peer.sendall(address[0].encode())
                peer.close()
    os.read(ready, 1)
    netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    with netlink.Socket() as route:
        netlink.set_up(route, 1)
        netlink.add_bridge(route, "agt0", bytes.fromhex("0242 0ae6 0001"))
        bridge = next(link.number for link in netlink.links(route) if link.name == "agt0")
        netlink.add_address(route, bridge, IPv4Interface("10.230.0.1/24"))
        netlink.add_veth(
            route,
            "agtv0",
            master=bridge,
            mtu=1500,
            peer_name="eth0",
            peer_mac=bytes.fromhex("0242 0ae6 0002"),
            peer_netns=netns,
        )
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    namespaces.setns(netns)
    with netlink.Socket() as route:
        netlink.set_up(route, 1)
        index = next(link.number for link in netlink.links(route) if link.name == "eth0")
        netlink.add_address(route, index, ip_interface("10.230.0.2/24"))
        netlink.set_up(route, index)
        netlink.add_default_route(route, index, IPv4Address("10.230.0.1"))
    namespaces.setns(here)
    for path in ("/proc/sys/net/ipv4/conf/agt0/route_localnet", "/proc/sys/net/ipv4/ip_forward"):
        with open(path, "w") as file:
            file.write("1")
    os.write(end, b"g")
    os.read(ready, 1)
    return pid, end


def _ask(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=3) as connection:
        return connection.recv(100).decode()


def test_a_published_port_leads_from_the_hosts_loopback_into_the_container(in_new_network: Run) -> None:
    def body() -> None:
        firewall = Firewall("agt")
        pid, end = _container(80)
        try:
            firewall.install([NETWORK], [publication(8080), publication(9090, "127.0.0.1")])
            assert _ask("127.0.0.1", 8080) == "10.230.0.1"
            assert _ask("10.230.0.1", 8080) == "10.230.0.1"
            assert _ask("127.0.0.1", 9090) == "10.230.0.1"
            with pytest.raises(ConnectionRefusedError):
                _ask("10.230.0.1", 9090)
            firewall.withdraw([publication(8080)])
            with pytest.raises(ConnectionRefusedError):
                _ask("127.0.0.1", 8080)
        finally:
            os.close(end)
            os.kill(pid, 9)
            os.waitpid(pid, 0)

    in_new_network(body)
