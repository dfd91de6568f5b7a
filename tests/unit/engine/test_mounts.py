from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.engine.mounts import Planned, parse_bind, plan, tmpfs_mounts
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import (
    BindOptions,
    ContainerConfig,
    HostConfig,
    MountSpec,
    TmpfsOptions,
    VolumeOptions,
)


def planned(host: HostConfig, image: list[str] | None = None, **config: Any) -> dict[str, Planned]:
    return {item.point.destination: item for item in plan(ContainerConfig(**config), host, image or [])}


def test_a_path_and_a_target_are_a_bind_mount() -> None:
    found = parse_bind("/srv/x/:/data/")
    assert (found.point.type, found.point.source, found.point.destination) == ("bind", "/srv/x", "/data")
    assert (found.point.rw, found.point.propagation, found.create_source) == (True, "rprivate", True)
    assert found.volume is None


def test_a_name_and_a_target_are_a_volume() -> None:
    found = parse_bind("data:/data")
    assert (found.point.type, found.point.name, found.volume, found.copy_up) == (
        "volume",
        "data",
        "data",
        True,
    )


def test_a_bare_target_is_an_anonymous_volume() -> None:
    assert (parse_bind("/data").volume, parse_bind("/data").point.destination) == ("", "/data")


@pytest.mark.parametrize(
    ("mode", "rw", "propagation"),
    [
        ("ro", False, "rprivate"),
        ("rw", True, "rprivate"),
        ("ro,rslave", False, "rslave"),
        ("z", True, "rprivate"),
    ],
)
def test_a_mode_says_how_a_bind_is_mounted(mode: str, rw: bool, propagation: str) -> None:
    point = parse_bind(f"/a:/b:{mode}").point
    assert (point.rw, point.propagation, point.mode) == (rw, propagation, mode)


def test_a_volume_is_not_filled_on_request() -> None:
    assert not parse_bind("data:/data:nocopy").copy_up


@pytest.mark.parametrize(
    "text",
    ["", "data", ":/x", "a:b", "a:/", "/a:/b:ro,rw", "/a:/b:fast", "a:/b:rslave", "/a:/b:ro:z", "/", "/a:.."],
)
def test_what_cannot_be_mounted_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid (volume specification|mode)"):
        parse_bind(text)


@given(st.text(alphabet="ab/.:,ro", max_size=14))
def test_whatever_is_asked_for_the_target_is_clean_and_below_the_root(text: str) -> None:
    try:
        target = parse_bind(text).point.destination
    except InvalidParameter:
        return
    assert target.startswith("/")
    assert target != "/"
    assert ".." not in target.split("/")
    assert not target.endswith("/")


def test_a_target_is_taken_once() -> None:
    with pytest.raises(InvalidParameter, match="Duplicate mount point: /b"):
        planned(HostConfig(binds=["/a:/b", "/c:/b/"]))
    for tmpfs in ("/b", "/b/"):
        with pytest.raises(InvalidParameter, match="Duplicate mount point: /b"):
            planned(HostConfig(binds=["/a:/b"], tmpfs={tmpfs: ""}))


def test_the_images_volumes_are_anonymous_unless_something_else_is_mounted_there() -> None:
    host = HostConfig(binds=["/a:/one"], tmpfs={"/two/": ""}, mounts=[MountSpec("volume", "v", "/three/")])
    found = planned(host, ["/one", "/two", "/three", "/four/"], volumes={"/five": {}})
    assert set(found) == {"/one", "/three", "/four", "/five"}
    assert found["/four"].volume == found["/five"].volume == ""
    assert found["/one"].volume is None


def test_a_mount_of_type_bind_wants_a_source_that_exists(tmp_path: Path) -> None:
    spec = MountSpec("bind", str(tmp_path), "/data", read_only=True)
    found = planned(HostConfig(mounts=[spec]))["/data"]
    assert (found.point.rw, found.create_source) == (False, False)
    missing = str(tmp_path / "missing")
    with pytest.raises(InvalidParameter, match="bind source path does not exist"):
        planned(HostConfig(mounts=[MountSpec("bind", missing, "/data")]))
    made = MountSpec("bind", missing, "/data", bind_options=BindOptions(create_mountpoint=True))
    assert planned(HostConfig(mounts=[made]))["/data"].create_source


def test_a_mount_of_type_volume_has_labels_and_may_stay_empty() -> None:
    options = VolumeOptions(no_copy=True, labels={"a": "b"})
    found = planned(HostConfig(mounts=[MountSpec("volume", "v", "/data", volume_options=options)]))["/data"]
    assert (found.volume, found.labels, found.copy_up) == ("v", {"a": "b"}, False)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (MountSpec("bind", "/a", ""), 'invalid mount config for type "bind": field Target must not be empty'),
        (MountSpec("bind", "", "/b"), "field Source must not be empty"),
        (MountSpec("bind", "a", "/b"), "mount path must be absolute"),
        (MountSpec("volume", "a", "b"), "mount path must be absolute"),
        (MountSpec("npipe", "a", "/b"), "mount type unknown"),
        (MountSpec("tmpfs", "", ""), 'invalid mount config for type "tmpfs": field Target must not be empty'),
        (MountSpec("tmpfs", "", "b"), "invalid mount path: 'b' mount path must be absolute"),
        (MountSpec("tmpfs", "", "/"), "invalid specification: destination can't be '/'"),
        (
            MountSpec("bind", "/", "/b", bind_options=BindOptions(propagation="nope")),
            'invalid mount config for type "bind": invalid propagation mode: nope',
        ),
    ],
)
def test_a_mount_that_makes_no_sense_is_refused(spec: MountSpec, message: str) -> None:
    with pytest.raises(InvalidParameter, match=message):
        planned(HostConfig(mounts=[spec]))


def test_tmpfs_goes_below_the_root_and_once_to_a_place() -> None:
    for target in ("rel", "/"):
        with pytest.raises(InvalidParameter, match="invalid"):
            planned(HostConfig(tmpfs={target: ""}))
    twice = [MountSpec("tmpfs", "", "/a"), MountSpec("tmpfs", "", "/a/")]
    with pytest.raises(InvalidParameter, match="Duplicate mount point: /a"):
        planned(HostConfig(mounts=twice))


def test_tmpfs_is_asked_for_in_two_ways() -> None:
    spec = MountSpec("tmpfs", "", "/b/", read_only=True, tmpfs_options=TmpfsOptions(1024, 0o1777))
    host = HostConfig(tmpfs={"/a/": "size=1m,exec"}, mounts=[spec])
    assert tmpfs_mounts(host) == {"/a": "size=1m,exec", "/b": "ro,size=1024,mode=1777"}
    assert planned(host) == {}
    assert tmpfs_mounts(HostConfig()) == {}
