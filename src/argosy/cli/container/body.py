"""Options of `run` and `create` → the body of the API's request, as Docker's own client writes it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from argosy.cli.flags import Options

    Document = dict[str, Any]

_RATES = (
    ("device-read-bps", "BlkioDeviceReadBps"),
    ("device-write-bps", "BlkioDeviceWriteBps"),
    ("device-read-iops", "BlkioDeviceReadIOps"),
    ("device-write-iops", "BlkioDeviceWriteIOps"),
)


def create_body(options: Options, image: str, command: list[str], *, detach: bool = False) -> Document:
    """Raises ValueError with the text that Docker has for it."""
    body = _config(options, image, command, detach)
    body["HostConfig"] = _host_config(options)
    body["NetworkingConfig"] = {"EndpointsConfig": _add_network(body["HostConfig"], options)}
    _add_files(body, options)
    _add_ports(body, options)
    if "rm" in options.given and options.on("rm"):
        if body["HostConfig"]["RestartPolicy"]["Name"] not in ("no", ""):
            raise ValueError("conflicting options: cannot specify both --restart and --rm")
        body["HostConfig"]["AutoRemove"] = True
    return body


def _config(options: Options, image: str, command: list[str], detach: bool) -> Document:
    interactive, attached = options.on("interactive"), options.many("attach")
    if detach:
        streams = {"stdin": False, "stdout": False, "stderr": False}
    elif attached:
        streams = {name: name in attached for name in ("stdin", "stdout", "stderr")}
    else:
        streams = {"stdin": interactive, "stdout": True, "stderr": True}
    if interactive and not attached and not detach:
        streams["stdin"] = True
    config: Document = {
        "Hostname": options.text("hostname"),
        "Domainname": options.text("domainname"),
        "User": options.text("user"),
        "AttachStdin": streams["stdin"],
        "AttachStdout": streams["stdout"],
        "AttachStderr": streams["stderr"],
        "Tty": options.on("tty"),
        "OpenStdin": interactive,
        "StdinOnce": interactive and streams["stdin"],
        "Env": None,
        "Cmd": command or None,
        "Image": image,
        "Volumes": {},
        "WorkingDir": options.text("workdir"),
        "Entrypoint": [options.text("entrypoint")] if "entrypoint" in options.given else None,
        "OnBuild": None,
        "Labels": {},
    }
    given = options.given
    if "env" in given or "env-file" in given:
        from argosy.cli.container.envfile import environment

        config["Env"] = environment(options.many("env-file"), options.many("env"))
    if "label" in given or "label-file" in given:
        from argosy.cli.container.envfile import labels

        config["Labels"] = labels(options.many("label-file"), options.many("label"))
    if "stop-signal" in given:
        config["StopSignal"] = options.text("stop-signal")
    if "stop-timeout" in given:
        config["StopTimeout"] = options.number("stop-timeout")
    if "no-healthcheck" in given or any(name.startswith("health-") for name in given):
        from argosy.cli.container.health import healthcheck

        check = healthcheck(options)
        if check is not None:
            config["Healthcheck"] = check
    return config


def _host_config(options: Options) -> Document:
    config: Document = {
        "LogConfig": {"Type": options.text("log-driver"), "Config": {}},
        "RestartPolicy": restart_policy(options.text("restart")),
        "AutoRemove": False,
        "ConsoleSize": [0, 0],
        "CapAdd": None,
        "CapDrop": None,
        "CgroupnsMode": _mode(options, "cgroupns", "CGROUP", ("private", "host")),
        "Dns": options.many("dns"),
        "DnsOptions": options.many("dns-option"),
        "DnsSearch": options.many("dns-search"),
        "ExtraHosts": options.many("add-host") or None,
        "GroupAdd": options.many("group-add") or None,
        "IpcMode": options.text("ipc"),
        "Links": options.many("link") or None,
        "OomScoreAdj": options.number("oom-score-adj"),
        "PidMode": _mode(options, "pid", "PID", ("host",), joins=True),
        "Privileged": options.on("privileged"),
        "PublishAllPorts": options.on("publish-all"),
        "ReadonlyRootfs": options.on("read-only"),
        "SecurityOpt": None,
        "UTSMode": _mode(options, "uts", "UTS", ("host",)),
        "UsernsMode": _mode(options, "userns", "USER", ("host",)),
        "ShmSize": options.number("shm-size"),
        "Isolation": options.text("isolation"),
        "VolumeDriver": options.text("volume-driver"),
        "VolumesFrom": options.many("volumes-from") or None,
    }
    _add_limits(config, options)
    _add_security(config, options)
    if "dns" in options.given:
        for address in options.many("dns"):
            if address.startswith("127."):
                sys.stderr.write(f"WARNING: Localhost DNS ({address}) may fail in containers.\n")
    if "log-opt" in options.given:
        if options.text("log-driver") == "none":
            raise ValueError("invalid logging opts for driver none")
        config["LogConfig"]["Config"] = _pairs(options.many("log-opt"))
    if "init" in options.given:
        config["Init"] = options.on("init")
    if options.text("runtime"):
        config["Runtime"] = options.text("runtime")
    if "annotation" in options.given:
        config["Annotations"] = _pairs(options.many("annotation"))
    if "sysctl" in options.given:
        config["Sysctls"] = _pairs(options.many("sysctl"))
    if "storage-opt" in options.given:
        if any("=" not in text for text in options.many("storage-opt")):
            raise ValueError("invalid storage option")
        config["StorageOpt"] = _pairs(options.many("storage-opt"))
    return config


def _pairs(texts: list[str]) -> dict[str, str]:
    from argosy.cli.values import mapping

    return mapping(texts)


def _mode(options: Options, name: str, title: str, known: tuple[str, ...], *, joins: bool = False) -> str:
    value = options.text(name)
    joined = joins and value.startswith("container:") and len(value) > len("container:")
    if value and value not in known and not joined:
        raise ValueError(f"--{name}: invalid {title} mode")
    return value


def restart_policy(text: str) -> Document:
    name, colon, count = text.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    try:
        maximum = int(count) if count else 0
    except ValueError:
        raise ValueError("invalid restart policy format: maximum retry count must be an integer") from None
    return {"Name": name, "MaximumRetryCount": maximum}


def _add_limits(config: Document, options: Options) -> None:
    swappiness = options.number("memory-swappiness")
    if not -1 <= swappiness <= 100:
        raise ValueError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    config.update(
        {
            "CpuShares": options.number("cpu-shares"),
            "Memory": options.number("memory"),
            "NanoCpus": options.number("cpus"),
            "CgroupParent": options.text("cgroup-parent"),
            "BlkioWeight": options.number("blkio-weight"),
            "BlkioWeightDevice": [],
            "CpuPeriod": options.number("cpu-period"),
            "CpuQuota": options.number("cpu-quota"),
            "CpuRealtimePeriod": options.number("cpu-rt-period"),
            "CpuRealtimeRuntime": options.number("cpu-rt-runtime"),
            "CpusetCpus": options.text("cpuset-cpus"),
            "CpusetMems": options.text("cpuset-mems"),
            "Devices": [],
            "DeviceCgroupRules": options.many("device-cgroup-rule") or None,
            "DeviceRequests": None,
            "MemoryReservation": options.number("memory-reservation"),
            "MemorySwap": options.number("memory-swap"),
            "MemorySwappiness": swappiness,
            "OomKillDisable": options.on("oom-kill-disable"),
            "PidsLimit": options.number("pids-limit"),
            "Ulimits": [],
        }
    )
    if "ulimit" in options.given:
        limits: dict[str, Any] = {limit["Name"]: limit for limit in options.values("ulimit")}
        config["Ulimits"] = [limits[name] for name in sorted(limits)]
    devices = {"device", "gpus", "blkio-weight-device", *(name for name, _ in _RATES)}
    if not options.given.isdisjoint(devices):
        _add_devices(config, options)
    for _, key in _RATES:
        config.setdefault(key, [])


def _add_devices(config: Document, options: Options) -> None:
    from argosy.cli.container import devices

    nodes, interfaces = devices.parse_devices(options.many("device"))
    config["Devices"] = nodes
    requests = options.values("gpus")
    if interfaces:
        request = {"Driver": "cdi", "Count": 0, "DeviceIDs": interfaces}
        requests.append({**request, "Capabilities": None, "Options": None})
    config["DeviceRequests"] = requests or None
    config["BlkioWeightDevice"] = options.values("blkio-weight-device")
    for name, key in _RATES:
        config[key] = options.values(name)


def _add_security(config: Document, options: Options) -> None:
    if not options.given.isdisjoint(("cap-add", "cap-drop")):
        added = {_capability(name) for name in options.many("cap-add")}
        dropped = {_capability(name) for name in options.many("cap-drop")}
        if "ALL" not in added:
            dropped -= added
        config["CapAdd"] = sorted(added) or None
        config["CapDrop"] = sorted(dropped) or None
    if "security-opt" in options.given:
        from argosy.cli.container.security import security_options

        stated, unmasked = security_options(options.many("security-opt"))
        config["SecurityOpt"] = stated or None
        if unmasked:
            config["MaskedPaths"], config["ReadonlyPaths"] = [], []


def _capability(name: str) -> str:
    upper = name.strip().upper()
    return upper if upper == "ALL" or upper.startswith("CAP_") else f"CAP_{upper}"


def _add_network(host_config: Document, options: Options) -> Document:
    if options.given.isdisjoint(_NETWORK_OPTIONS):
        host_config["NetworkMode"] = "default"
        return {"default": dict.fromkeys(("IPAMConfig", "Links", "Aliases", "DriverOpts"))}
    from argosy.cli.container.networks import endpoints

    host_config["NetworkMode"], config = endpoints(options.values("network"), options)
    return config


_NETWORK_OPTIONS = frozenset(
    ("network", "network-alias", "link", "ip", "ip6", "mac-address", "link-local-ip")
)


def _add_files(body: Document, options: Options) -> None:
    host_config = body["HostConfig"]
    host_config["Binds"] = None
    if options.given.isdisjoint(("volume", "mount", "tmpfs")):
        return
    from argosy.cli.container.mounts import parse_tmpfs, parse_volumes

    binds, anonymous = parse_volumes(options.many("volume"))
    host_config["Binds"] = binds or None
    body["Volumes"] = {target: {} for target in anonymous}
    if "tmpfs" in options.given:
        host_config["Tmpfs"] = parse_tmpfs(options.many("tmpfs"))
    if "mount" in options.given:
        host_config["Mounts"] = options.values("mount")


def _add_ports(body: Document, options: Options) -> None:
    body["HostConfig"]["PortBindings"] = {}
    if options.given.isdisjoint(("publish", "expose")):
        return
    from argosy.cli.container.ports import parse_exposed, parse_published

    bindings = parse_published(options.many("publish"))
    exposed = [*bindings, *parse_exposed(options.many("expose"))]
    body["HostConfig"]["PortBindings"] = bindings
    body["ExposedPorts"] = {port: {} for port in exposed}
