"""What a request asks for that cannot be had here, and is refused in Docker's words."""

from argosy.engine.stop import parse_signal
from argosy.errors import InvalidParameter, NotFound
from argosy.image import ImageRecord
from argosy.spec.docker_container import ContainerConfig, EndpointSettings, HostConfig

RUNTIMES = ("", "argosy", "runc", "io.containerd.runc.v2")
_NO_ADDRESSES = (
    "invalid config for network {}: invalid endpoint settings:\n"
    "* user specified IP address is supported on user defined networks only\n"
    "* user specified IP address is supported only when connecting to networks with user configured subnets"
)


def check(config: ContainerConfig, host: HostConfig, endpoints: dict[str, EndpointSettings]) -> None:
    """Raises InvalidParameter."""
    if host.runtime not in (None, *RUNTIMES):
        raise InvalidParameter(f"unknown or invalid runtime name: {host.runtime}")
    if host.isolation not in ("", "default"):
        raise InvalidParameter(f"invalid isolation ({host.isolation}): linux only supports 'default'")
    if host.storage_opt:
        raise InvalidParameter(
            "--storage-opt is not supported: a container's writable layer has no size limit of its own",
            hint="Keep large data in a volume on a file system of the size that you want.",
        )
    for request in host.device_requests or []:
        driver = request.get("Driver") or ""
        wanted = request.get("Capabilities") or []
        shown = " ".join(f"[{' '.join(group)}]" for group in wanted)
        raise InvalidParameter(f'could not select device driver "{driver}" with capabilities: [{shown}]')
    if config.stop_signal:
        parse_signal(config.stop_signal)
    for option in host.security_opt or []:
        name = option.partition("=")[0].partition(":")[0]
        if name not in ("no-new-privileges", "seccomp", "apparmor", "label", "systempaths"):
            raise InvalidParameter(f'invalid --security-opt 2: "{option}"')
    for name, endpoint in endpoints.items():
        wanted_address = endpoint.ipam_config
        if wanted_address is not None and (wanted_address.ipv4_address or wanted_address.ipv6_address):
            raise InvalidParameter(_NO_ADDRESSES.format("bridge" if name == "default" else name))


def check_platform(image: ImageRecord, name: str, platform: str) -> None:
    """An image for another platform is none: the client pulls the right one. Raises NotFound."""
    if not platform:
        return
    system, _, architecture = platform.partition("/")
    architecture, _, _ = architecture.partition("/")
    document = image.document
    if system != (document.os or "linux") or (architecture and architecture != document.architecture):
        raise NotFound(f"No such image: {name}")
