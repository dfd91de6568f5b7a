"""The builds that are measured: eight steps on 2,000 files, 50,000 files, stages at once, a large file."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

_STEPS = """FROM busybox
WORKDIR /app
COPY package.json ./
RUN echo install > installed
COPY . .
RUN ls -R | wc -l > count
RUN echo built > built
RUN echo tested > tested
CMD ["sh"]
"""
_STAGES = 4
_LARGE = 1_000_000_000
_SETTLED = 0.2
_NAME = "bench-built"


class Side(Protocol):
    name: str

    def run(self, *words: str, check: bool = True) -> None: ...


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Builds:
    """Contexts below `directory`. What a side has built goes with `clean`."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / "builds"
        self._count = 0

    def _context(self, name: str, dockerfile: str, directories: int = 0, files: int = 0) -> Path:
        path = self._root / name
        if path.exists():
            return path
        path.mkdir(parents=True)
        (path / "Dockerfile").write_text(dockerfile)
        (path / "package.json").write_text("{}")
        for number in range(directories):
            (path / f"src/{number}").mkdir(parents=True)
            for each in range(files):
                (path / f"src/{number}/{each}.js").write_text(f"// {number} {each}\n" * 40)
        time.sleep(_SETTLED)
        return path

    def _eight_steps(self) -> Path:
        return self._context("steps", _STEPS, 40, 50)

    def cold(self, side: Side) -> float:
        path = self._eight_steps()
        return timed(lambda: side.run("build", "-q", "--no-cache", "-t", _NAME, str(path)))

    def cached(self, side: Side) -> float:
        return self._again(side, self._eight_steps())

    def one_changed(self, side: Side) -> float:
        path = self._eight_steps()
        side.run("build", "-q", "-t", _NAME, str(path))
        self._count += 1
        (path / "src/7/7.js").write_text(f"// changed {self._count}\n")
        time.sleep(_SETTLED)
        return timed(lambda: side.run("build", "-q", "-t", _NAME, str(path)))

    def many_files(self, side: Side) -> float:
        return self._again(side, self._context("many", "FROM busybox\nCOPY . /app\nRUN echo x\n", 500, 100))

    def stages(self, side: Side) -> float:
        stages = "".join(f"FROM busybox AS s{n}\nRUN sleep 2; echo {n} > /n{n}\n" for n in range(_STAGES))
        copies = "".join(f"COPY --from=s{n} /n{n} /\n" for n in range(_STAGES))
        path = self._context("stages", f"{stages}FROM scratch\n{copies}")
        return timed(lambda: side.run("build", "-q", "--no-cache", "-t", _NAME, str(path)))

    def large_file(self, side: Side) -> float:
        path = self._context("large", "FROM busybox\nCOPY large /large\n")
        large = path / "large"
        if not large.exists():
            with large.open("wb") as file:
                for _ in range(_LARGE // (1 << 20)):
                    file.write(os.urandom(1 << 20))
            subprocess.run(["sync"], check=True)
        # What a client has sent before is not sent again: it must be new to both.
        with large.open("r+b") as file:
            file.write(os.urandom(16))
        time.sleep(_SETTLED)
        seconds = timed(lambda: side.run("build", "-q", "--no-cache", "-t", _NAME, str(path)))
        self.clean(side)
        return seconds

    def _again(self, side: Side, path: Path) -> float:
        for _ in range(2):
            side.run("build", "-q", "-t", _NAME, str(path))
        return timed(lambda: side.run("build", "-q", "-t", _NAME, str(path)))

    def clean(self, side: Side) -> None:
        side.run("rmi", "-f", _NAME, check=False)
        side.run("image", "prune", "-f")
        side.run("builder", "prune", "-af")
