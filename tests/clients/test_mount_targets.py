"""What may be mounted over, and what an image cannot uncover thereby."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from base_images import archive_of

from engine_fixture import LocalEngine


@pytest.fixture(scope="module")
def engine(module_engine: LocalEngine) -> Iterator[LocalEngine]:
    text = (
        b"FROM busybox\nRUN ln -s /proc /p && ln -s /proc/sys /ps && ln -s /sys /s && ln -s /sys/kernel /sk\n"
    )
    module_engine.ok("build", "-t", "links", "-", stdin=text)
    yield module_engine


_COMMAND = f"{sys.executable} -m argosy.cli.main"
INSIDE = "cannot be mounted because it is inside /proc"
NOT_PROC = '"/proc" cannot be mounted because it is not of type proc'


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("-v", "{tmp}:/proc"), NOT_PROC),
        (("-v", "named:/proc"), NOT_PROC),
        (("--tmpfs", "/proc"), NOT_PROC),
        (("-v", "{tmp}:/proc/none"), INSIDE),
        (("-v", "{tmp}:/proc/sys"), INSIDE),
        (("-v", "{tmp}:/./proc/../proc/sys"), INSIDE),
        (("-v", "named:/proc/fs"), INSIDE),
        (("--mount", "type=bind,src={tmp},dst=/proc/fs"), INSIDE),
        (("--mount", "type=tmpfs,dst=/proc/fs"), INSIDE),
        (("--tmpfs", "/proc/sys"), INSIDE),
        (("--privileged", "-v", "{tmp}:/proc/fs"), INSIDE),
        # By links of the image's.
        (("-v", "{tmp}:/p"), INSIDE),
        (("-v", "{tmp}:/p/sys"), INSIDE),
        (("-v", "named:/ps"), INSIDE),
        (("--tmpfs", "/ps"), INSIDE),
        (("-v", "{tmp}:/s"), '"/s" cannot be mounted because it is inside /sys'),
        (("--tmpfs", "/sk"), '"/sk" cannot be mounted because it is inside /sys'),
        (("-v", "{file}:/p/cpuinfo"), INSIDE),
    ],
)
def test_nothing_covers_what_the_kernel_shows_of_itself(
    engine: LocalEngine, tmp_path: Path, words: tuple[str, ...], reason: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    given = [word.format(tmp=tmp_path, file=file) for word in words]
    answer = engine.argosy("run", "--rm", *given, "links", "true")
    assert answer.code == 125
    assert 'error mounting "' in answer.stderr and reason in answer.stderr


@pytest.mark.parametrize(
    ("words", "command", "expected"),
    [
        (("-v", "{tmp}/file:/proc/cpuinfo"), "cat /proc/cpuinfo", "mine"),
        (("-v", "/proc:/proc"), "cat /proc/1/comm >/dev/null && echo host", "host"),
        (("-v", "{tmp}:/sys"), "cat /sys/file", "mine"),
        (("-v", "{tmp}:/sys/kernel"), "cat /sys/kernel/file", "mine"),
        (("--tmpfs", "/sys/kernel"), "ls -A /sys/kernel", ""),
        (("-v", "/sys:/sys:ro"), "ls -d /sys/kernel", "/sys/kernel"),
        (("-v", "/sys/fs/cgroup:/sys/fs/cgroup"), "ls -d /sys/fs/cgroup/*ified", "/sys/fs/cgroup/unified"),
        (("-v", "/dev:/dev"), "echo x >/dev/null && echo fine", "fine"),
        # The mask is upon it.
        (("-v", "{tmp}:/sys/firmware"), "ls -A /sys/firmware", ""),
    ],
)
def test_what_docker_lets_users_cover_they_may(
    engine: LocalEngine, tmp_path: Path, words: tuple[str, ...], command: str, expected: str
) -> None:
    if "ified" in command and not os.path.isdir("/sys/fs/cgroup/unified"):
        command, expected = "ls -d /sys/fs/cgroup", "/sys/fs/cgroup"
    (tmp_path / "file").write_text("mine")
    given = [word.format(tmp=tmp_path) for word in words]
    assert engine.ok("run", "--rm", *given, "busybox", "sh", "-c", command) == expected


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ("type=tmpfs,target=/proc", NOT_PROC),
        ("type=tmpfs,target=/proc/sys", INSIDE),
        ("type=cache,target=/proc/x", INSIDE),
        ("type=bind,target=/proc/fs", INSIDE),
        ("type=bind,from=links,target=/ps", INSIDE),
        ("type=tmpfs,target=/s", "because it is inside /sys"),
    ],
)
def test_a_build_step_covers_no_more(engine: LocalEngine, mount: str, reason: str) -> None:
    text = f"FROM links\nRUN --mount={mount} echo {os.urandom(4).hex()}\n".encode()
    answer = engine.argosy("build", "-", stdin=text)
    assert answer.code == 1 and reason in answer.stderr


def image(engine: LocalEngine, name: str, volume: str, changes: dict[str, str]) -> None:
    """busybox with links, or directories for "", in the place of what it has there, and a volume."""
    engine.argosy("rmi", "-f", name)
    output = io.BytesIO()
    with (
        tarfile.open(archive_of("busybox", engine.cache)) as source,
        tarfile.open(fileobj=output, mode="w") as archive,
    ):
        for path, target in changes.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = (tarfile.SYMTYPE, target) if target else (tarfile.DIRTYPE, "")
            entry.mode = 0o755
            archive.addfile(entry)
        for entry in source:
            if entry.name.removeprefix("./").rstrip("/").partition("/")[0] not in changes:
                archive.addfile(entry, source.extractfile(entry) if entry.isreg() else None)
    engine.ok("import", "-c", f"VOLUME {volume}", "-", name, stdin=output.getvalue())


def test_masked_paths_stay_masked_whatever_the_image_has_for_dev_null(engine: LocalEngine) -> None:
    """CVE-2025-31133: the mask was bound from the container's /dev/null, a link to what it was to hide."""
    image(engine, "evil", "/dev", {"dev": "", "dev/null": "/proc/sysrq-trigger"})
    answer = engine.argosy("run", "--rm", "evil", "true")
    assert answer.code == 125
    assert "/dev/null is there already, and is not the device 1:3" in answer.stderr
    # With a null device where it belongs, the mask shows the host's.
    masked = engine.ok("run", "--rm", "-v", "/dev:/dev", "busybox", "wc", "-c", "/proc/keys")
    assert masked.split() == ["0", "/proc/keys"]


def test_the_console_is_a_file_or_a_device_and_nothing_is_followed_to_it(engine: LocalEngine) -> None:
    """CVE-2025-52565: the terminal was bound onto whatever /dev/console had become."""
    image(engine, "evil", "/dev", {"dev": "", "dev/console": "/proc/sysrq-trigger"})
    words = ["script", "-qec", f"{_COMMAND} run --rm -t evil true", "/dev/null"]
    done = subprocess.run(words, env=engine.environment, capture_output=True, text=True, check=False)
    assert "is neither a file nor a device" in done.stdout


@pytest.mark.parametrize("place", ["proc", "sys"])
def test_the_kernels_file_systems_go_where_no_link_leads(engine: LocalEngine, place: str) -> None:
    image(engine, "evil", "/data", {place: "data", "data": ""})
    answer = engine.argosy("run", "--rm", "evil", "true")
    assert answer.code == 125 and "must be mounted on ordinary directory" in answer.stderr


def test_a_volume_is_not_filled_with_what_the_kernel_shows(engine: LocalEngine) -> None:
    """The masks come later, and the volume stays."""
    image(engine, "evil", "/sys/firmware", {"sys": ""})
    engine.ok("run", "--rm", "-v", "filled:/sys/firmware", "evil", "true")
    assert engine.ok("run", "--rm", "-v", "filled:/v", "busybox", "ls", "-A", "/v") == ""


def test_a_sysctl_goes_to_the_kernel_and_nowhere_else(engine: LocalEngine, tmp_path: Path) -> None:
    """CVE-2025-52881: writes below /proc were led elsewhere by what was mounted there."""
    (tmp_path / "sys/net/core").mkdir(parents=True)
    (tmp_path / "sys/net/core/somaxconn").write_text("0")
    words = ["--sysctl", "net.core.somaxconn=77"]
    assert engine.ok("run", "--rm", *words, "busybox", "cat", "/proc/sys/net/core/somaxconn") == "77"
    assert engine.argosy("run", "--rm", *words, "-v", f"{tmp_path}:/proc", "busybox", "true").code == 125
    assert (tmp_path / "sys/net/core/somaxconn").read_text() == "0"


def test_the_mount_table_of_a_container_tells_nothing_of_the_engine(engine: LocalEngine) -> None:
    table = engine.ok("run", "--rm", "busybox", "cat", "/proc/self/mountinfo")
    root = table.splitlines()[0]
    assert " / / " in root and "lowerdir=/proc/self/fd/" in root
    assert str(engine.root) not in table and f"/proc/{engine.pid}/" not in table
