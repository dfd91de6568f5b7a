"""What the tests of the kernel layer share: root file systems, and namespaces to try things in."""

import os
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from argosy.linux import mount, namespaces

Body = Callable[[], None]


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A root file system of busybox and nothing else."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.fail("busybox is missing: install a static one (Debian, Ubuntu: apt install busybox-static)")
    root = tmp_path / "rootfs"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for (
        name
    ) in "cat chmod cut dd echo grep head id ls mkdir readlink sh sleep stat stty true false wc yes".split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nsailor:x:1000:1000::/home/sailor:/bin/sh\n"
    )
    (root / "etc" / "group").write_text("root:x:0:\nsailor:x:1000:\ncrew:x:2000:sailor\n")
    return root


def _in_child(flags: int, body: Body) -> None:
    """Run `body` in a process with namespaces of its own, which go when it ends."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        complaint = ""
        try:
            namespaces.unshare(flags)
            if flags & namespaces.CLONE_NEWNS:
                mount.mount("", "/", flags=mount.MS_PRIVATE | mount.MS_REC)
                # The network namespace's own view: /sys/class/net and /proc/sys/net.
                mount.mount("sysfs", "/sys", "sysfs")
            body()
        except BaseException:  # noqa: BLE001  told to the parent, which fails for it
            complaint = traceback.format_exc()
        os.write(writer, complaint.encode()[-60000:])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        complaint = pipe.read().decode()
    os.waitpid(pid, 0)
    if complaint:
        pytest.fail(complaint, pytrace=False)


@pytest.fixture
def in_new_network() -> Callable[[Body], None]:
    """Runs a function in a fresh network namespace: nothing that it does reaches the host's."""
    return lambda body: _in_child(namespaces.CLONE_NEWNET, body)


@pytest.fixture
def in_new_mounts() -> Callable[[Body], None]:
    return lambda body: _in_child(namespaces.CLONE_NEWNS, body)
