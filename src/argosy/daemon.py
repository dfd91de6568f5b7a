"""argosyd: the engine as a process."""

import argparse
import asyncio
import fcntl
import gc
import logging
import os
import signal
import sys
import threading
from ipaddress import IPv4Interface

from argosy import __version__
from argosy.api.server import Server
from argosy.build.builder import Builder
from argosy.engine.core import Engine
from argosy.engine.settings import Settings
from argosy.engine.supervise import Supervisor
from argosy.engine.worker import BuildWorker
from argosy.errors import ArgosyError
from argosy.linux.private import UMASK, make_private

log = logging.getLogger("argosy")
_LONGEST_END = 8
_PROXIES = ("http-proxy", "https-proxy", "no-proxy")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="argosyd", description="Argosy's container engine.")
    parser.add_argument("--version", action="version", version=f"argosyd {__version__}")
    defaults = Settings()
    parser.add_argument("--root", default=defaults.root, help="where images and containers are kept")
    parser.add_argument("--run", default=defaults.run, help="where sockets and the state of this boot are")
    parser.add_argument(
        "-H", "--host", action="append", default=[], help="address to listen on (unix:///path, fd://3)"
    )
    parser.add_argument("--group", default=defaults.group, help="group that may use the socket")
    parser.add_argument(
        "--name", default=defaults.name, help="name of the bridge, cgroups and firewall table"
    )
    parser.add_argument("--bip", metavar="CIDR", type=IPv4Interface, help="address of the bridge")
    parser.add_argument("--insecure-registry", action="append", default=[], metavar="HOST[:PORT]|CIDR")
    parser.add_argument("--registry-mirror", action="append", default=[], metavar="URL")
    for name in _PROXIES:
        parser.add_argument(
            f"--{name}", metavar="HOSTS" if name == "no-proxy" else "URL", help=f"default: ${_variable(name)}"
        )
    parser.add_argument("--max-concurrent-downloads", type=_positive, default=3, metavar="LAYERS")
    parser.add_argument("--max-concurrent-uploads", type=_positive, default=5, metavar="LAYERS")
    parser.add_argument(
        "-s",
        "--storage-driver",
        default="",
        metavar="NAME",
        help="erofs (layers stay packed) or overlay (unpacked); default: erofs where the kernel can",
    )
    parser.add_argument("--label", action="append", default=[])
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"], default="info")
    return parser


def _variable(proxy: str) -> str:
    return proxy.upper().replace("-", "_")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _set_proxies(arguments: argparse.Namespace) -> None:
    """As dockerd does: what the flags say takes the place of what the environment says."""
    for name in _PROXIES:
        given = getattr(arguments, name.replace("-", "_"))
        if given is not None:
            os.environ.pop(_variable(name).lower(), None)
            os.environ[_variable(name)] = given


def _lock(settings: Settings) -> int:
    """Hold the pid file for as long as this process lives: two engines must not share one state."""
    make_private(settings.run, settings.group, os.path.basename(settings.pid_file))
    descriptor = os.open(settings.pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(descriptor, 32).decode().strip()
        sys.exit(f"argosyd: an engine is already running (pid {pid}); stop it with: argosy system stop")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _tell_systemd_ready() -> None:
    """sd_notify(3), for a unit of Type=notify."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if address:
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.connect("\0" + address[1:] if address.startswith("@") else address)
            notify.send(b"READY=1")


def _end_anyway() -> None:
    """Whatever threads are at, be it a registry that does not answer or a file system that is gone: as after
    a crash, the next start puts in order what they leave."""

    def end() -> None:
        log.warning("some work has not ended within %d seconds and is cut off", _LONGEST_END)
        os._exit(0)

    timer = threading.Timer(_LONGEST_END, end)
    timer.daemon = True
    timer.start()


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    engine = Engine(settings)
    # Before what nothing needs is removed: it knows what its cache needs.
    builder = Builder(engine.images, engine.database, BuildWorker(engine), settings.root)
    await Supervisor(engine).begin()
    server = Server(engine, builder)
    await server.listen(list(settings.hosts) or [f"unix://{settings.socket}"], settings.group)
    # What is there now stays: collections need not look at it, and can be rarer.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    log.info("argosyd %s is ready", __version__)
    _tell_systemd_ready()
    await stopping.wait()
    log.info("argosyd is stopping; containers go on")
    _end_anyway()
    await server.close()
    builder.close()
    await engine.close()


def main() -> None:
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=arguments.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    if os.geteuid() != 0:
        sys.exit("argosyd: must run as root; try: sudo argosyd")
    os.umask(UMASK)
    _set_proxies(arguments)
    settings = Settings(
        root=os.path.abspath(arguments.root),
        run=os.path.abspath(arguments.run),
        hosts=tuple(arguments.host),
        group=arguments.group,
        name=arguments.name,
        bridge_address=arguments.bip,
        insecure_registries=tuple(arguments.insecure_registry),
        registry_mirrors=tuple(arguments.registry_mirror),
        max_concurrent_downloads=arguments.max_concurrent_downloads,
        max_concurrent_uploads=arguments.max_concurrent_uploads,
        storage_driver=arguments.storage_driver,
        labels=tuple(arguments.label),
    )
    lock = _lock(settings)
    try:
        asyncio.run(_serve(settings))
    except ArgosyError as error:
        sys.exit(f"argosyd: {error}")
    finally:
        os.close(lock)


if __name__ == "__main__":
    main()
