"""Layers as dockerd unpacks them, beside what we mount. Needs root and a dockerd on this machine."""

import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argosy.database import Database
from argosy.errors import InvalidParameter
from argosy.image import Images
from argosy.linux.mount import MNT_DETACH, mount, mount_stack, umount
from tree_samples import Description, describe, implied, layers

from .conftest import Oracle

EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def archive(tars: list[bytes], tag: str) -> bytes:
    """`docker save`'s older form."""
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["true"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars],
            },
        }
    ).encode()
    paths = [f"{number}/layer.tar" for number in range(len(tars))]
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [tag], "Layers": paths}]).encode()
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as made:
        contents = [
            *zip(paths, tars, strict=True),
            ("config.json", configuration),
            ("manifest.json", manifest),
        ]
        for name, data in contents:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return output.getvalue()


@contextlib.contextmanager
def theirs(oracle: Oracle, data: bytes, tag: str, target: Path) -> Iterator[Path | None]:
    """The root of a container of the image, mounted; None if dockerd refuses the image."""
    if oracle.docker("load", stdin=data).code:
        yield None
        return
    container = oracle.docker("create", tag).stdout.strip()
    try:
        found = json.loads(
            oracle.docker("inspect", "--format", "{{json .GraphDriver.Data}}", container).stdout
        )
        # Docker's own layer with /dev and /etc comes first.
        lower = ":".join(found["LowerDir"].split(":")[1:])
        target.mkdir()
        mount("overlay", os.fspath(target), "overlay", data=f"lowerdir={lower}:{target}")
        try:
            yield target
        finally:
            umount(os.fspath(target), MNT_DETACH)
    finally:
        oracle.docker("rm", container)
        oracle.docker("rmi", tag)


@contextlib.contextmanager
def ours(data: bytes, tag: str, directory: Path) -> Iterator[Path | None]:
    database = Database(os.fspath(directory / "db"))
    images = Images(os.fspath(directory / "root"), database)
    try:
        try:
            images.load(io.BytesIO(data))
        except InvalidParameter:
            yield None
            return
        mounts = images.snapshotter.view("view", images.resolve(tag).chain_id)
        target = directory / "ours"
        target.mkdir()
        mount_stack([(item.type, item.source, item.options) for item in mounts], os.fspath(target))
        try:
            yield target
        finally:
            umount(os.fspath(target), MNT_DETACH)
    finally:
        images.close()
        database.close()


def test_a_stack_of_layers_is_what_dockerd_makes_of_it(oracle: Oracle) -> None:
    """What dockerd refuses for reasons of its own (it wants the entries of a directory to last) may load."""
    compared = 0

    @EXAMPLES
    @given(st.lists(layers(lower=True, distinct=True), min_size=1, max_size=3, unique=True))
    def check(tars: list[bytes]) -> None:
        nonlocal compared
        tag = "argosy-layers:test"
        data = archive(tars, tag)
        with (
            tempfile.TemporaryDirectory(prefix="argosy-layers-") as name,
            theirs(oracle, data, tag, Path(name) / "theirs") as expected,
            ours(data, tag, Path(name)) as found,
        ):
            if expected is not None:
                assert found is not None
                assert comparable(describe(found), tars) == comparable(
                    describe(expected, lists_whiteouts=True), tars
                )
                compared += 1

    check()
    assert compared > 5


def comparable(description: Description, tars: list[bytes]) -> Description:
    """Without what dockerd does otherwise: a directory that a layer has no entry for is a new one to it,
    whatever is below, and times before 1970 are 1970."""
    made = implied(tars)
    return {
        path: ("directory",)
        if entry[0][:3] == "0o4" and path in made
        else (*entry[:3], max(entry[3], 0), *entry[4:])
        for path, entry in description.items()
    }
