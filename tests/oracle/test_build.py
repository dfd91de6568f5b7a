"""The same Dockerfiles built by dockerd with BuildKit and by us: layers, configuration and history alike."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine_fixture import LocalEngine

from .conftest import Oracle

_CORPUS = Path(__file__).with_name("dockerfiles.txt")
_BASE, _BUILT = "argosy-base:1", "argosy-built:1"
_TIME = 1_600_000_000
_COMPARED = (
    "Cmd Entrypoint Env ExposedPorts Healthcheck Labels OnBuild Shell StopSignal User Volumes WorkingDir"
).split()

Layer = dict[str, tuple[object, ...]]


def _corpus() -> list[tuple[str, str]]:
    found = []
    for part in _CORPUS.read_text().split("== ")[1:]:
        name, _, text = part.partition("\n")
        found.append((name, text))
    return found


def _write_context(root: Path) -> None:
    for name, text in (
        ("a.txt", "a\n"), ("c.txt", "c\n"), ("with space.txt", "space\n"), ("closed.txt", "closed\n"),
        ("run.sh", "#!/bin/sh\necho run\n"), ("dir/b.txt", "b\n"), ("dir/d.txt", "d\n"), ("dir/bin", "bin\n"),
        ("dir/sub/deep.txt", "deep\n"), ("node/kept.js", "kept\n"), ("node/left.log", "log\n"),
        ("node/modules/x.js", "x\n"), ("node/modules/keep.md", "md\n"), ("links/a", "a\n"),
    ):  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "empty").mkdir()
    (root / "links/to-a").symlink_to("a")
    (root / "links/absolute").symlink_to("/etc/passwd")
    (root / "links/directory").symlink_to("../dir")
    (root / "closed.txt").chmod(0o600)
    (root / "run.sh").chmod(0o755)
    (root / "dir/sub").chmod(0o700)
    (root / ".dockerignore").write_text("# not these\n*.log\n**/*.log\nnode/modules\n!node/modules/keep.md\n")
    with tarfile.open(root / "archive.tar.gz", "w:gz") as archive:
        for name, kind in (
            ("top", tarfile.DIRTYPE),
            ("top/file", tarfile.REGTYPE),
            ("top/link", tarfile.SYMTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid, entry.mtime = kind, 0o751, 42, 43, _TIME
            entry.linkname = "file" if kind == tarfile.SYMTYPE else ""
            entry.size = 5 if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(b"file\n"))
    for base, folders, files in os.walk(root):
        for name in [*folders, *files]:
            os.utime(os.path.join(base, name), (_TIME, _TIME), follow_symlinks=False)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("context")
    _write_context(root)
    return root


class Builders:
    """Both of them, with the same base image."""

    def __init__(self, oracle: Oracle, engine: LocalEngine, config: Path) -> None:
        self._oracle = oracle
        self._engine = engine
        docker = os.environ.get("ARGOSY_ORACLE_CLI") or shutil.which("docker")
        assert docker is not None
        self._docker = docker
        plugins = Path(docker).resolve().parent.parent / "libexec/docker/cli-plugins"
        (config / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(plugins)]}))
        self._environment = {
            **os.environ, "DOCKER_HOST": oracle.host, "DOCKER_CONFIG": str(config), "DOCKER_BUILDKIT": "1"
        }  # fmt: skip

    def theirs(self, *words: str, stdin: bytes = b"") -> tuple[int, str]:
        done = subprocess.run(
            [self._docker, "build", "--progress", "plain", *words],
            env=self._environment, input=stdin, capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr.decode()

    def ours(self, *words: str, stdin: bytes = b"") -> tuple[int, str]:
        answer = self._engine.argosy("build", "--progress", "plain", *words, stdin=stdin)
        return answer.code, answer.stderr

    def both(self, *words: str, stdin: bytes = b"") -> tuple[Any, Any]:
        """Their image and ours, as what `save` gives."""
        for build in (self.theirs, self.ours):
            code, output = build("--network", "none", "-t", _BUILT, *words, stdin=stdin)
            assert code == 0, f"{build.__name__}: {output}"
        save = subprocess.run(
            [self._docker, "save", _BUILT], env=self._environment, capture_output=True, check=True
        ).stdout
        ours = self._engine.argosy_bytes("save", _BUILT)
        return Image(save), Image(ours)


class Image:
    def __init__(self, archive: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            files = {entry.name: entry for entry in tar}
            manifest = json.loads(self._content(tar, files["manifest.json"]))[0]
            self.document = json.loads(self._content(tar, files[manifest["Config"]]))
            self.layers = [_layer(self._content(tar, files[name])) for name in manifest["Layers"]]

    @staticmethod
    def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
        file = tar.extractfile(entry)
        assert file is not None
        return file.read()

    @property
    def config(self) -> dict[str, object]:
        return {name: self.document["config"].get(name) for name in _COMPARED}

    @property
    def history(self) -> list[tuple[object, ...]]:
        return [
            (step.get("created_by", ""), bool(step.get("empty_layer")), step.get("comment", ""))
            for step in self.document["history"]
        ]


def _layer(data: bytes) -> Layer:
    found: Layer = {}
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as tar:
        for entry in tar:
            name = entry.name.removeprefix("./").rstrip("/")
            if name.rpartition("/")[2].startswith(".wh."):
                # What is in a whiteout's header is an accident of whoever wrote it.
                found[name] = ("whiteout",)
                continue
            content = tar.extractfile(entry) if entry.isreg() else None
            attributes = {k: v for k, v in entry.pax_headers.items() if k.startswith("SCHILY.xattr.")}
            found[name] = (
                "type " + entry.type.decode(), f"mode {entry.mode:o}", (entry.uid, entry.gid), entry.linkname,
                hashlib.sha256(content.read()).hexdigest()[:12] if content else "", attributes,
                # What a build makes has the time of the build; and a context's directories may be sent
                # to dockerd before what is in them.
                int(entry.mtime) if entry.mtime < _TIME or (entry.mtime == _TIME and not entry.isdir()) else "new",
            )  # fmt: skip
    return found


@pytest.fixture(scope="module")
def builders(
    oracle: Oracle, module_engine: LocalEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Builders]:
    root = _base_image()
    for host in (oracle.host, module_engine.host):
        made = oracle.docker("import", "-c", 'CMD ["sh"]', "-", _BASE, stdin=root, host=host)
        assert made.code == 0, made.stderr
    yield Builders(oracle, module_engine, tmp_path_factory.mktemp("config"))
    oracle.docker("rmi", "-f", _BUILT, _BASE)
    oracle.docker("builder", "prune", "-af")


def _base_image() -> bytes:
    """A busybox with all the places that something is mounted at: runc would leave them in a layer."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "no busybox to make an image of"
    applets = subprocess.run([busybox, "--list"], capture_output=True, check=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("bin", "dev", "etc", "proc", "root", "sys", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode, folder.mtime = tarfile.DIRTYPE, 0o755, _TIME
            archive.addfile(folder)
        archive.add(busybox, "bin/busybox")
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        passwd, group = "root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"
        for name, text in (("passwd", passwd), ("group", group), ("hosts", ""), ("resolv.conf", "")):
            entry = tarfile.TarInfo(f"etc/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _differences(theirs: Image, ours: Image) -> list[str]:
    found = []
    for name in _COMPARED:
        if theirs.config[name] != ours.config[name]:
            found.append(f"{name}: {theirs.config[name]!r} there, {ours.config[name]!r} here")
    if theirs.history != ours.history:
        for there, here in zip(theirs.history, ours.history, strict=False):
            if there != here:
                found.append(f"history: {there} there,\n         {here} here")
        if len(theirs.history) != len(ours.history):
            found.append(f"history: {len(theirs.history)} there, {len(ours.history)} here")
    if len(theirs.layers) != len(ours.layers):
        return [*found, f"layers: {len(theirs.layers)} there, {len(ours.layers)} here"]
    for number, (layer, own) in enumerate(zip(theirs.layers, ours.layers, strict=True)):
        for path in sorted({*layer, *own}):
            if layer.get(path) != own.get(path):
                found.append(f"layer {number}, {path!r}: {layer.get(path)} there,\n    {own.get(path)} here")
    return found


@pytest.mark.parametrize(("name", "dockerfile"), _corpus(), ids=[name for name, _ in _corpus()])
def test_an_image_is_built_alike(builders: Builders, context: Path, name: str, dockerfile: str) -> None:
    file = context.parent / f"{context.name}.Dockerfile"
    file.write_text(dockerfile)
    theirs, ours = builders.both("-f", str(file), str(context))
    found = _differences(theirs, ours)
    assert not found, "\n".join(found)
