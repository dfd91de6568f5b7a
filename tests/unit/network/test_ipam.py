from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.errors import Conflict, InvalidParameter
from argosy.network.ipam import DEFAULT_POOLS, AddressPool, choose_subnet, mac_of

SUBNET, GATEWAY = IPv4Network("10.9.0.0/28"), IPv4Address("10.9.0.1")
ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)
NETWORKS = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)).map(
    lambda t: IPv4Network(t, strict=False)
)


@pytest.fixture
def pool() -> AddressPool:
    return AddressPool(SUBNET, GATEWAY)


def test_the_first_pool_is_dockers() -> None:
    assert choose_subnet([]) == IPv4Network("172.17.0.0/16")


@given(st.lists(NETWORKS, max_size=6))
def test_a_chosen_subnet_overlaps_nothing_that_is_taken(taken: list[IPv4Network]) -> None:
    try:
        chosen = choose_subnet(taken)
    except Conflict:
        assert all(any(pool.overlaps(other) for other in taken) for pool in DEFAULT_POOLS)
        return
    assert not any(chosen.overlaps(other) for other in taken)


def test_when_all_is_taken_it_is_said_in_dockers_words() -> None:
    with pytest.raises(Conflict, match="all predefined address pools have been fully subnetted"):
        choose_subnet([IPv4Network("0.0.0.0/0")])


@given(ADDRESSES, ADDRESSES)
def test_a_mac_address_belongs_to_one_address(first: IPv4Address, second: IPv4Address) -> None:
    assert (mac_of(first) == mac_of(second)) == (first == second)
    # Locally administered, for one station.
    assert int(mac_of(first)[:2], 16) & 3 == 2


def test_addresses_go_out_lowest_first_and_each_once(pool: AddressPool) -> None:
    given = [str(pool.allocate()) for _ in range(13)]
    assert given == [f"10.9.0.{number}" for number in range(2, 15)]
    with pytest.raises(Conflict, match="no available IPv4 addresses"):
        pool.allocate()


def test_a_released_address_goes_out_again(pool: AddressPool) -> None:
    first, _ = pool.allocate(), pool.allocate()
    pool.release(first)
    assert pool.allocate() == first


def test_a_reserved_address_is_not_given_out(pool: AddressPool) -> None:
    pool.reserve(IPv4Address("10.9.0.2"))
    assert str(pool.allocate()) == "10.9.0.3"


@pytest.mark.parametrize("address", ["10.9.0.0", "10.9.0.1", "10.9.0.15"])
def test_the_networks_own_addresses_cannot_be_reserved(pool: AddressPool, address: str) -> None:
    with pytest.raises(Conflict, match="Address already in use"):
        pool.reserve(IPv4Address(address))


def test_a_foreign_address_cannot_be_reserved(pool: AddressPool) -> None:
    with pytest.raises(InvalidParameter, match=r"does not belong to 10\.9\.0\.0/28"):
        pool.reserve(IPv4Address("10.10.0.2"))


@given(st.lists(st.booleans(), max_size=60))
def test_no_address_is_held_twice_whatever_comes_and_goes(steps: list[bool]) -> None:
    pool = AddressPool(SUBNET, GATEWAY)
    held: list[IPv4Address] = []
    for allocate in steps:
        if allocate and len(held) < 13:
            address = pool.allocate()
            assert address not in held
            assert address in SUBNET
            held.append(address)
        elif held:
            pool.release(held.pop(0))
