"""What a request asks for that cannot be had here, and is refused in Docker's words."""

from ipaddress import ip_address

from argosy.engine.security import security
from argosy.engine.stop import parse_signal
from argosy.errors import InvalidParameter, NotFound
from argosy.image import ImageRecord
from argosy.spec.docker_container import (
    ContainerConfig,
    EndpointIpam,
    EndpointSettings,
    Healthcheck,
    HostConfig,
)

RUNTIMES = ("", "argosy", "runc", "io.containerd.runc.v2")
_MILLISECOND = 1_000_000
_IPC_SYSCTLS = tuple(
    "kernel." + name for name in "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split()
)
_USER_DEFINED_ONLY = "user specified IP address is supported on user defined networks only"
_SUBNETS_ONLY = (
    "user specified IP address is supported only when connecting to networks with user configured subnets"
)


def check(config: ContainerConfig, host: HostConfig, endpoints: dict[str, EndpointSettings]) -> None:
    """Raises InvalidParameter."""
    _check_modes(host)
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidParameter(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    if config.healthcheck:
        _check_health(config.healthcheck)
    if host.runtime not in (None, *RUNTIMES):
        raise InvalidParameter(f"unknown or invalid runtime name: {host.runtime}")
    if host.isolation not in ("", "default"):
        raise InvalidParameter(f"invalid isolation ({host.isolation}): linux only supports 'default'")
    for name in host.storage_opt or {}:
        if name != "size":
            raise InvalidParameter(f"Unknown option {name}")
        raise InvalidParameter(
            "--storage-opt is not supported: a container's writable layer has no size limit of its own",
            hint="Keep large data in a volume on a file system of the size that you want.",
        )
    if config.stop_signal:
        parse_signal(config.stop_signal)
    security(host)
    for key in host.annotations or {}:
        if not key:
            raise InvalidParameter(
                "invalid Annotations: the empty string is not permitted as an annotation key"
            )
    for name, endpoint in endpoints.items():
        _check_addresses("bridge" if name == "default" else name, endpoint.ipam_config)


def _check_addresses(network: str, asked: EndpointIpam | None) -> None:
    """The bridge has a subnet for IPv4, but no address of it is anybody's to choose."""
    problems = []
    if asked is not None and (asked.ipv4_address or asked.ipv6_address):
        problems.append(_USER_DEFINED_ONLY)
        if asked.ipv4_address:
            if not _is_address(asked.ipv4_address, 4):
                problems.append(f"invalid IPv4 address: {asked.ipv4_address}")
            problems.append(f"no configured subnet or ip-range contain the IP address {asked.ipv4_address}")
        if asked.ipv6_address:
            if not _is_address(asked.ipv6_address, 6):
                problems.append(f"invalid IPv6 address: {asked.ipv6_address}")
            problems.append(_SUBNETS_ONLY)
    for address in (asked.link_local_ips or []) if asked is not None else []:
        if not (_is_address(address, 4) or _is_address(address, 6)):
            problems.append(f"invalid link-local IP address: {address}")
    if problems:
        listed = "\n".join(f"* {problem}" for problem in problems) if len(problems) > 1 else problems[0]
        raise InvalidParameter(f"invalid config for network {network}: invalid endpoint settings:\n{listed}")


def _is_address(text: str, version: int) -> bool:
    try:
        return ip_address(text).version == version
    except ValueError:
        return False


def _check_modes(host: HostConfig) -> None:
    for kind, value, allowed in (
        ("PID", host.pid_mode, ("", "host")),
        ("IPC", host.ipc_mode, ("", "private", "shareable", "host", "none")),
        ("UTS", host.uts_mode, ("", "host")),
        ("cgroup namespace", host.cgroupns_mode, ("", "private", "host")),
    ):
        if value not in allowed and not (value.startswith("container:") and kind in ("PID", "IPC")):
            raise InvalidParameter(f"invalid {kind} mode: {value}")
    if host.network_mode == "container:":
        raise InvalidParameter("invalid network mode: invalid container format container:<name|id>")
    if host.userns_mode not in ("", "host"):
        raise InvalidParameter(f"invalid user namespace mode: {host.userns_mode}")
    _check_sysctls(host)


def check_given(given: ContainerConfig, host: HostConfig) -> None:
    """`given` is what the user says, nothing of the image's. Raises InvalidParameter."""
    problem = ""
    if given.hostname and host.uts_mode == "host":
        problem = "hostname and the UTS mode"
    elif host.network_mode == "host" and host.links:
        problem = "host type networking can't be used with links. This would result in undefined behavior"
    elif host.network_mode.startswith("container:"):
        problem = _of_shared_network(given, host)
    if problem:
        raise InvalidParameter(f"conflicting options: {problem}")


def _of_shared_network(given: ContainerConfig, host: HostConfig) -> str:
    """What would have to be set in a network namespace that is another container's."""
    links = "container type network can't be used with links. This would result in undefined behavior"
    for value, problem in (
        (given.hostname, "hostname and the network mode"),
        (host.links, links),
        (host.dns, "dns and the network mode"),
        (host.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (given.mac_address, "mac-address and the network mode"),
        (
            host.port_bindings or host.publish_all_ports,
            "port publishing and the container type network mode",
        ),
        (given.exposed_ports, "port exposing and the container type network mode"),
    ):
        if value:
            return problem
    return ""


def _check_sysctls(host: HostConfig) -> None:
    for key in host.sysctls or {}:
        if key.startswith("net."):
            if host.network_mode == "host":
                raise InvalidParameter(f'sysctl "{key}" not allowed in host network namespace')
        elif key in _IPC_SYSCTLS or key.startswith("fs.mqueue."):
            if host.ipc_mode == "host":
                raise InvalidParameter(f'sysctl "{key}" is not allowed in the hosts ipc namespace')
        elif key == "kernel.domainname" and host.uts_mode != "host":
            continue
        else:
            raise InvalidParameter(f'sysctl "{key}" is not in a separate kernel namespace')


def _check_health(check: Healthcheck) -> None:
    for name, value in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ):
        if value and value < _MILLISECOND:
            raise InvalidParameter(f"{name} in Healthcheck cannot be less than 1ms")
    if check.retries < 0:
        raise InvalidParameter("Retries in Healthcheck cannot be negative")


def check_platform(image: ImageRecord, name: str, platform: str) -> None:
    """An image for another platform is none: the client pulls the right one. Raises NotFound."""
    if not platform:
        return
    system, _, architecture = platform.partition("/")
    architecture, _, _ = architecture.partition("/")
    document = image.document
    if system != (document.os or "linux") or (architecture and architecture != document.architecture):
        own = f"{document.os or 'linux'}/{document.architecture}"
        raise NotFound(
            f"image with reference {name} was found but its platform ({own}) does not match the specified "
            f"platform ({platform})"
        )
