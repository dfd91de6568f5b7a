"""Bridges on a real kernel, in a network namespace of their own. Needs root."""

import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from argosy.linux import netlink
from argosy.network import bridge

pytestmark = pytest.mark.root
Run = Callable[[Callable[[], None]], None]
SUBNET, GATEWAY = IPv4Network("10.230.0.0/24"), IPv4Address("10.230.0.1")


def names() -> set[str]:
    with netlink.Socket() as route:
        return {link.name for link in netlink.links(route)}


def add_interface(host_name: str, master: int) -> None:
    """One end in the bridge, the other beside it."""
    netns = os.open("/proc/self/ns/net", os.O_RDONLY)
    with netlink.Socket() as route:
        netlink.add_veth(
            route,
            host_name,
            master=master,
            mtu=1500,
            peer_name=f"p{host_name}"[:15],
            peer_mac=b"\2\x42\0\0\0\1",
            peer_netns=netns,
        )
    os.close(netns)


def test_a_bridge_is_made_up_with_its_address_and_mac(in_new_network: Run) -> None:
    def body() -> None:
        made = bridge.ensure("agt0", SUBNET, GATEWAY)
        with netlink.Socket() as route:
            link = next(link for link in netlink.links(route) if link.name == "agt0")
            assert (link.number, link.up, link.mac) == (made.number, True, "02:42:0a:e6:00:01")
            assert [str(address) for index, address in netlink.addresses(route) if index == link.number] == [
                "10.230.0.1/24"
            ]
        with open("/proc/sys/net/ipv4/conf/agt0/route_localnet") as file:
            assert file.read().strip() == "1"
        with open("/proc/sys/net/ipv4/ip_forward") as file:
            assert file.read().strip() == "1"

    in_new_network(body)


def test_ensuring_a_bridge_again_changes_nothing(in_new_network: Run) -> None:
    def body() -> None:
        first = bridge.ensure("agt0", SUBNET, GATEWAY)
        assert bridge.ensure("agt0", SUBNET, GATEWAY) == first
        with netlink.Socket() as route:
            assert len([1 for index, _ in netlink.addresses(route) if index == first.number]) == 1

    in_new_network(body)


def test_a_bridge_that_has_lost_its_address_gets_it_back(in_new_network: Run) -> None:
    def body() -> None:
        with netlink.Socket() as route:
            netlink.add_bridge(route, "agt0", b"\2\x42\0\0\0\1")
        made = bridge.ensure("agt0", SUBNET, GATEWAY)
        with netlink.Socket() as route:
            assert made.number in {index for index, _ in netlink.addresses(route)}

    in_new_network(body)


def test_the_subnets_of_the_host_are_seen(in_new_network: Run) -> None:
    def body() -> None:
        assert bridge.taken_subnets() == []
        bridge.ensure("agt0", SUBNET, GATEWAY)
        assert bridge.taken_subnets() == [SUBNET]

    in_new_network(body)


def test_interfaces_that_belong_to_no_container_are_removed(in_new_network: Run) -> None:
    def body() -> None:
        made = bridge.ensure("agt0", SUBNET, GATEWAY)
        alive, dead = "a" * 64, "d" * 64
        add_interface(bridge.host_name_of(alive), made.number)
        add_interface(bridge.host_name_of(dead), made.number)
        add_interface("foreign0", made.number)
        add_interface("agx", 0)
        assert bridge.remove_strays(made, [alive]) == [bridge.host_name_of(dead)]
        left = names()
        assert {bridge.host_name_of(alive), "foreign0", "agx"} <= left
        assert bridge.host_name_of(dead) not in left

    in_new_network(body)


def test_a_bridge_that_is_not_there_can_be_deleted(in_new_network: Run) -> None:
    def body() -> None:
        bridge.ensure("agt0", SUBNET, GATEWAY)
        bridge.delete("agt0")
        assert "agt0" not in names()
        bridge.delete("agt0")

    in_new_network(body)


def test_adding_what_is_there_and_using_what_is_not_are_told_apart(in_new_network: Run) -> None:
    def body() -> None:
        made = bridge.ensure("agt0", SUBNET, GATEWAY)
        with netlink.Socket() as route:
            with pytest.raises(FileExistsError):
                netlink.add_bridge(route, "agt0", b"\2\x42\0\0\0\1")
            with pytest.raises(OSError, match="set link up"):
                netlink.set_up(route, made.number + 100)
            netlink.set_up(route, made.number)

    in_new_network(body)


def test_a_name_on_the_hosts_side_fits_the_kernel() -> None:
    assert len(bridge.host_name_of("f" * 64)) == 15
