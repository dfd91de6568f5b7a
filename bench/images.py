"""Work with images, for the benchmark: loading, saving, pulling, pushing, removing, and starting cold."""

import contextlib
import io
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from base_images import archive_of, import_arguments

CACHE = Path(os.environ.get("ARGOSY_CACHE", "/var/cache/argosy-demo"))
_MANY_FILES = 60_000
_FILE_SIZE = 17_000
_FILES_IN_DIRECTORY = 100
_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Side(Protocol):
    def run(self, *words: str, check: bool = True) -> None: ...


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextlib.contextmanager
def registry(directory: Path) -> Iterator[str]:
    """Debian's registry server; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    configuration = directory / "registry.yml"
    configuration.write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {directory / 'registry'}}}}}\n"
        f"http: {{addr: {address}}}\n"
        "log: {level: error, accesslog: {disabled: true}}\n"
    )
    server = subprocess.Popen(["docker-registry", "serve", str(configuration)], **_QUIET)  # type: ignore[call-overload]
    try:
        host, port = address.split(":")
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                break
            time.sleep(0.05)
        yield address
    finally:
        server.terminate()
        server.wait()


class Images:
    """`maker` makes and pushes what is pulled. Every image that is made shares no layer with another."""

    def __init__(self, directory: Path, address: str, maker: Side, saver: Side) -> None:
        self._directory = directory
        self._address = address
        self._maker = maker
        self._saver = saver
        self._pushed: dict[str, str] = {}

    def load(self, side: Side) -> float:
        name, saved = self._saved()
        seconds = timed(lambda: side.run("load", "-q", "-i", str(saved)))
        side.run("rmi", "-f", name)
        saved.unlink()
        return seconds

    def save(self, side: Side) -> float:
        name, saved = self._saved()
        side.run("load", "-q", "-i", str(saved))
        saved.unlink()
        os.sync()
        seconds = timed(lambda: side.run("save", "-o", str(saved), name))
        side.run("rmi", "-f", name)
        saved.unlink()
        return seconds

    def rmi(self, side: Side) -> float:
        name, saved = self._saved()
        side.run("load", "-q", "-i", str(saved))
        saved.unlink()
        os.sync()
        return timed(lambda: side.run("rmi", name))

    def pull(self, side: Side, kind: str) -> float:
        name = self._pushed.get(kind) or self._push(kind)
        os.sync()
        seconds = timed(lambda: side.run("pull", "-q", name))
        side.run("rmi", "-f", name)
        return seconds

    def push(self, side: Side) -> float:
        name, saved = self._saved()
        side.run("load", "-q", "-i", str(saved))
        saved.unlink()
        target = f"{self._address}/{name}"
        side.run("tag", name, target)
        os.sync()
        seconds = timed(lambda: side.run("push", "-q", target))
        side.run("rmi", "-f", name, target)
        return seconds

    def cold_start(self, side: Side) -> float:
        """Of Node, in a container that runs, nothing of it being in memory."""
        side.run("run", "-d", "--label", "bench", "--name", "bench-cold", "bench-node", "sleep", "1000")
        try:
            os.sync()
            Path("/proc/sys/vm/drop_caches").write_text("3")
            side.run("exec", "bench-cold", "true")
            return timed(lambda: side.run("exec", "bench-cold", "node", "-e", "0"))
        finally:
            side.run("rm", "-f", "bench-cold")

    def prepare_cold_start(self, side: Side) -> None:
        words = import_arguments("node", archive_of("node", CACHE))
        side.run(*words[:-1], "bench-node")

    def _saved(self) -> tuple[str, Path]:
        """An image that no side has seen, as `save` writes it."""
        name = f"bench-{os.urandom(4).hex()}"
        archive = _unique_debian(self._directory, name)
        self._saver.run("import", str(archive), name)
        saved = self._directory / f"{name}.image"
        self._saver.run("save", "-o", str(saved), name)
        self._saver.run("rmi", "-f", name)
        archive.unlink()
        os.sync()
        return name, saved

    def _push(self, kind: str) -> str:
        name = f"{self._address}/bench-{os.urandom(4).hex()}"
        make = _unique_debian if kind == "debian" else _many_files
        archive = make(self._directory, name.rpartition("/")[2])
        self._maker.run("import", str(archive), name)
        archive.unlink()
        self._maker.run("push", "-q", name)
        self._maker.run("rmi", "-f", name)
        self._pushed[kind] = name
        return name


def _unique_debian(directory: Path, name: str) -> Path:
    """A Debian root with a file of its own."""
    archive = directory / f"{name}.tar"
    with open(archive_of("debian", CACHE), "rb") as source, open(archive, "wb") as copy:
        while data := source.read(1 << 20):
            copy.write(data)
    marker = directory / "marker"
    marker.write_bytes(os.urandom(64))
    with tarfile.open(archive, "a") as tar:
        tar.add(marker, f"marker-{name}")
    return archive


def _many_files(directory: Path, name: str) -> Path:
    """A gigabyte in many files, of bytes that gzip makes a quarter of."""
    archive = directory / f"{name}.tar"
    with tarfile.open(archive, "w") as tar:
        for number in range(_MANY_FILES):
            member = tarfile.TarInfo(f"d{number // _FILES_IN_DIRECTORY}/f{number}")
            member.size = _FILE_SIZE
            block = os.urandom(_FILE_SIZE // 4 + 1)
            tar.addfile(member, io.BytesIO((block * 4)[:_FILE_SIZE]))
    return archive
