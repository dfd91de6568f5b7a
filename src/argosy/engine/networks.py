"""The networks of this host: the default bridge, the host's own, and none."""

import os
import sqlite3
import time
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from argosy.database import Database
from argosy.engine.container import Attachment, Container
from argosy.engine.settings import Settings
from argosy.errors import NotFound
from argosy.ids import is_prefix, new_id
from argosy.network import bridge, ipam, ports, resolver
from argosy.network.firewall import Firewall
from argosy.spec.docker_container import EndpointSettings, HostConfig, PortBinding, PortMap
from argosy.spec.docker_network import Network
from argosy.spec.oci_runtime import Endpoint
from argosy.units import rfc3339

BRIDGE, HOST, NONE = "bridge", "host", "none"
_DRIVERS = {BRIDGE: "bridge", HOST: "host", NONE: "null"}
_TABLE = """
CREATE TABLE IF NOT EXISTS networks (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, created INTEGER NOT NULL, address TEXT NOT NULL
) WITHOUT ROWID;
"""
_INTERFACE = "eth0"


class Networks:
    """Only the event loop's thread may call it; every call is short."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._rows: dict[str, tuple[str, int]] = {}
        self._ports = ports.PortHolder()
        database.define(_TABLE)
        address = self._load(database)
        self._pool = ipam.AddressPool(address.network, address.ip)
        self._bridge = bridge.ensure(settings.bridge, address.network, address.ip)
        self._firewall = Firewall(settings.name)

    def _load(self, database: Database) -> IPv4Interface:
        """The default bridge's address: chosen once, kept from then on."""
        stored = database.read("SELECT name, id, created, address FROM networks")
        address = self._settings.bridge_address
        for name, identifier, created, text in stored:
            self._rows[str(name)] = (str(identifier), int(str(created)))
            if name == BRIDGE and address is None:
                address = IPv4Interface(str(text))
        if address is None:
            subnet = ipam.choose_subnet(bridge.taken_subnets())
            address = IPv4Interface(f"{subnet.network_address + 1}/{subnet.prefixlen}")
        if not stored:
            now = time.time_ns()
            rows = [(name, new_id(), now, str(address) if name == BRIDGE else "") for name in _DRIVERS]

            def write(connection: sqlite3.Connection) -> None:
                connection.executemany("INSERT INTO networks VALUES (?, ?, ?, ?)", rows)

            database.write(write)
            self._rows = {name: (identifier, created) for name, identifier, created, _ in rows}
        return address

    def close(self) -> None:
        self._firewall.close()

    @property
    def gateway(self) -> IPv4Address:
        return self._bridge.gateway

    def restore(self, attachments: dict[str, Attachment]) -> list[str]:
        """Take over what the running containers (by ID) have; everything else of ours is removed.

        Returns complaints: host ports that others took while there was no engine.
        """
        complaints = []
        publications = []
        for container, attachment in attachments.items():
            address = IPv4Address(attachment.address)
            self._pool.reserve(address)
            bindings = _bindings(attachment)
            publications += bridge.publications(bindings, address)
            complaints += [
                f"container {container}: {lost} is held by another program"
                for lost in self._ports.hold_again(container, bindings)
            ]
        self._firewall.install([(self._bridge.name, self._bridge.subnet)], publications)
        bridge.remove_strays(self._bridge, list(attachments))
        return complaints

    def attach(self, container: Container) -> tuple[Attachment, Endpoint]:
        """An address and the published ports, in the firewall too. Raises PortTaken, Conflict."""
        host = container.spec.host
        wanted = _wanted(container)
        # Docker may have been started since.
        self._firewall.pass_docker(self._bridge.name)
        address = self._pool.allocate()
        try:
            held = self._ports.hold(container.name, wanted)
            try:
                if held:
                    self._firewall.publish(bridge.publications(held, address))
            except BaseException:
                self._ports.release(held)
                raise
        except BaseException:
            self._pool.release(address)
            raise
        attachment = Attachment(
            host.network_mode,
            new_id(),
            str(address),
            [(str(b.host), b.host_port, b.protocol, b.container_port) for b in held],
        )
        endpoint: Endpoint = {
            "name": _INTERFACE,
            "host_name": bridge.host_name_of(container.id),
            "bridge": self._bridge.number,
            "mac": _mac(container, address),
            "mtu": bridge.MTU,
            "addresses": [f"{address}/{self._bridge.subnet.prefixlen}"],
            "gateway": str(self._bridge.gateway),
            "hairpin": bool(held),
        }
        return attachment, endpoint

    def detach(self, attachment: Attachment) -> None:
        address = IPv4Address(attachment.address)
        bindings = _bindings(attachment)
        if bindings:
            self._firewall.withdraw(bridge.publications(bindings, address))
            self._ports.release(bindings)
        self._pool.release(address)

    def write_files(self, container: Container, directory: str, links: list[tuple[str, str]]) -> None:
        """resolv.conf, hosts and hostname, which are mounted into the container. `links` are addresses of
        others and what they go by here."""
        host, config = container.spec.host, container.spec.config
        attachment = container.state.attachment
        own = [(attachment.address, _names(config.hostname, config.domainname))] if attachment else []
        extra = [_extra_host(text, str(self.gateway)) for text in host.extra_hosts or []]
        in_host = host.network_mode == HOST
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            resolv_conf = file.read()
        texts = {
            "hostname": config.hostname + "\n",
            "hosts": resolver.hosts([*own, *links], extra),
            "resolv.conf": resolver.resolv_conf(
                resolv_conf, host.dns or [], host.dns_search or [], host.dns_options or [], loopback=in_host
            ),
        }
        for name, text in texts.items():
            descriptor = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                os.write(descriptor, text.encode())
                # The container's users read them.
                os.fchmod(descriptor, 0o644)
            finally:
                os.close(descriptor)

    # What the API shows.

    def endpoint_settings(self, container: Container) -> dict[str, EndpointSettings]:
        mode = container.spec.host.network_mode
        if mode not in self._rows:
            return {}
        settings = EndpointSettings()
        attachment = container.state.attachment
        if container.state.started_at:
            settings.network_id = self._rows[mode][0]
        if attachment is not None:
            address = IPv4Address(attachment.address)
            settings.endpoint_id = attachment.endpoint_id
            settings.gateway = str(self._bridge.gateway)
            settings.ip_address = attachment.address
            settings.ip_prefix_len = self._bridge.subnet.prefixlen
            settings.mac_address = _mac(container, address)
        return {mode: settings}

    def find(self, text: str) -> str:
        """The name of the network called so, or with this ID. Raises NotFound."""
        if text in self._rows:
            return text
        if is_prefix(text):
            matching = [name for name, (identifier, _) in self._rows.items() if identifier.startswith(text)]
            if len(matching) == 1:
                return matching[0]
        raise NotFound(f"network {text} not found")

    def id_of(self, name: str) -> str:
        return self._rows[name][0]

    def names(self) -> list[str]:
        return sorted(self._rows)

    def describe(self, name: str, containers: list[Container]) -> Network:
        """`containers`: those that run in it are listed."""
        identifier, created = self._rows[name]
        network = Network(name=name, id=identifier, created=rfc3339(created), driver=_DRIVERS[name])
        if name == BRIDGE:
            subnet = self._bridge.subnet
            network.ipam.config = [{"Subnet": str(subnet), "Gateway": str(self._bridge.gateway)}]
            network.options = {
                "com.docker.network.bridge.default_bridge": "true",
                "com.docker.network.bridge.enable_icc": "true",
                "com.docker.network.bridge.enable_ip_masquerade": "true",
                "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
                "com.docker.network.bridge.name": self._bridge.name,
                "com.docker.network.driver.mtu": str(bridge.MTU),
            }
        network.containers = {
            container.id: _describe_member(container, self._bridge.subnet)
            for container in containers
            if container.status.is_alive() and container.spec.host.network_mode == name
        }
        return network


def _describe_member(container: Container, subnet: IPv4Network) -> dict[str, str]:
    attachment = container.state.attachment
    address = attachment.address if attachment else ""
    return {
        "Name": container.name,
        "EndpointID": attachment.endpoint_id if attachment else "",
        "MacAddress": _mac(container, IPv4Address(address)) if address else "",
        "IPv4Address": f"{address}/{subnet.prefixlen}" if address else "",
        "IPv6Address": "",
    }


def _mac(container: Container, address: IPv4Address) -> str:
    """The one that was asked for, or one made of the address."""
    asked = container.spec.networks.get(container.spec.host.network_mode)
    return (asked.mac_address if asked else "") or ipam.mac_of(address)


def _bindings(attachment: Attachment) -> list[ports.Binding]:
    return [
        ports.Binding(IPv4Address(host), host_port, protocol, port)
        for host, host_port, protocol, port in attachment.ports
    ]


def _names(hostname: str, domainname: str) -> str:
    return f"{hostname}.{domainname} {hostname}" if domainname else hostname


def _extra_host(text: str, gateway: str) -> tuple[str, str]:
    name, _, address = text.partition(":")
    return (gateway if address == "host-gateway" else address.strip("[]")), name


def _wanted(container: Container) -> list[ports.Wanted]:
    return wanted_ports(container.spec.host, container.spec.config.exposed_ports or {})


def wanted_ports(host: HostConfig, exposed: dict[str, dict[str, object]]) -> list[ports.Wanted]:
    """What --publish and --publish-all ask for. Raises InvalidParameter."""
    bindings = dict(host.port_bindings or {})
    if host.publish_all_ports:
        for port in exposed:
            bindings.setdefault(port, [PortBinding()])
    found = []
    for port, asked in sorted(bindings.items(), key=lambda item: ports.parse_port(item[0])):
        for binding in asked or [PortBinding()]:
            wanted = ports.parse_wanted(port, binding.host_ip, binding.host_port)
            # A client may ask for 0.0.0.0 and :: one by one; one holds for both.
            if wanted not in found or not wanted.first:
                found.append(wanted)
    return found


def port_map(container: Container) -> PortMap:
    """NetworkSettings.Ports: what is published, and null for what is only exposed."""
    found: PortMap = {}
    if container.status.is_alive():
        for port in container.spec.config.exposed_ports or {}:
            found[port] = None
    attachment = container.state.attachment
    for host, host_port, protocol, port_number in attachment.ports if attachment else []:
        key = f"{port_number}/{protocol}"
        found[key] = [*(found.get(key) or []), PortBinding(host, str(host_port))]
    return found
