"""Port, volume, mount, network, device and environment specs, with Docker's errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.cli.container.devices import parse_devices, parse_gpus
from argosy.cli.container.envfile import environment, labels
from argosy.cli.container.mounts import parse_mount, parse_tmpfs, parse_volumes
from argosy.cli.container.networks import parse_network
from argosy.cli.container.ports import parse_exposed, parse_published


def bound(port: str, *addresses: tuple[str, str]) -> dict[str, list[dict[str, str]]]:
    return {port: [{"HostIp": host, "HostPort": number} for host, number in addresses]}


@pytest.mark.parametrize(
    ("spec", "bindings"),
    [
        ("80", bound("80/tcp", ("", ""))),
        ("5000:80", bound("80/tcp", ("", "5000"))),
        ("5000:80/UDP", bound("80/udp", ("", "5000"))),
        ("127.0.0.1:5000:80", bound("80/tcp", ("127.0.0.1", "5000"))),
        ("127.0.0.1::80", bound("80/tcp", ("127.0.0.1", ""))),
        ("[::1]:5000:80", bound("80/tcp", ("::1", "5000"))),
        ("8000-8010:80", bound("80/tcp", ("", "8000-8010"))),
        ("70-71:80-81", bound("80/tcp", ("", "70")) | bound("81/tcp", ("", "71"))),
        ("published=80,target=90,protocol=udp", bound("90/udp", ("", "80"))),
    ],
)
def test_published_ports(spec: str, bindings: dict[str, list[dict[str, str]]]) -> None:
    assert parse_published([spec]) == bindings


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "No port specified: <empty>"),
        ("x:x", "Invalid containerPort: x"),
        ("99999:1", "Invalid hostPort: 99999"),
        ("90-80:80", "Invalid hostPort: 90-80"),
        ("1-3:5-6", "Invalid ranges specified for container and host Ports: 5-6 and 1-3"),
        ("80/foo", "Invalid proto: foo"),
        ("a.b:80:90", "Invalid ip address: a.b"),
        ("::1:80:90", "Invalid ip address ::1: address ::1:: too many colons in address"),
        ("published=80,target", "invalid publish opts format (should be name=value but got 'target')"),
    ],
)
def test_published_ports_that_are_none(spec: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_published([spec])
    assert str(caught.value) == text


@given(st.integers(1, 65535), st.integers(1, 65535), st.sampled_from(["tcp", "udp", "sctp"]))
def test_a_port_and_its_host_port_are_kept(host: int, port: int, protocol: str) -> None:
    assert parse_published([f"{host}:{port}/{protocol}"]) == bound(f"{port}/{protocol}", ("", str(host)))


@given(st.text(max_size=20))
def test_any_port_spec_is_read_or_refused(spec: str) -> None:
    try:
        parse_published([spec])
    except ValueError as error:
        assert str(error)


def test_exposed_ports() -> None:
    assert parse_exposed(["80", "90-91/udp"]) == ["80/tcp", "90/udp", "91/udp"]
    with pytest.raises(ValueError, match="invalid port format for --expose: 1:2"):
        parse_exposed(["1:2"])
    with pytest.raises(ValueError, match="invalid range format for --expose: 9-8, error: Invalid range"):
        parse_exposed(["9-8"])


def test_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    binds, anonymous = parse_volumes(["/a:/b:ro", "data:/c", "./x:/d", "/anon", "a:/b"])
    assert binds == ["/a:/b:ro", "data:/c", f"{tmp_path}/x:/d"]
    assert anonymous == ["/anon", "a:/b"]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("", "invalid empty volume spec"),
        (":/b", "invalid spec: :/b: empty section between colons"),
        ("/a:/b:ro:x", "invalid spec: /a:/b:ro:x: too many colons"),
    ],
)
def test_volumes_that_are_none(spec: str, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_volumes([spec])
    assert str(caught.value) == text


def test_tmpfs() -> None:
    assert parse_tmpfs(["/run:rw,size=1m", "/tmp"]) == {"/run": "rw,size=1m", "/tmp": ""}


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,src=/a,dst=/b,ro", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}),
        ("source=v,target=/b,readonly=false", {"Type": "volume", "Source": "v", "Target": "/b"}),
        (
            "type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1777",
            {"Type": "tmpfs", "Target": "/b", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777}},
        ),
        (
            'type=volume,dst=/b,"volume-opt=o=a,b",volume-nocopy',
            {
                "Type": "volume",
                "Target": "/b",
                "VolumeOptions": {"DriverConfig": {"Options": {"o": "a,b"}}, "NoCopy": True},
            },
        ),
        (
            "type=bind,src=/a,dst=/b,bind-recursive=disabled",
            {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"NonRecursive": True}},
        ),
    ],
)
def test_mounts(text: str, mount: dict[str, object]) -> None:
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo", "invalid field 'foo' must be a key=value pair"),
        ("type=bind,src=/a", "target is required"),
        ("dst=/b,nope=1", "unexpected key 'nope' in 'nope=1'"),
        ("dst=/b,readonly=zz", "invalid value for readonly: zz"),
        ("dst=/b,bind-propagation=shared", "cannot mix 'bind-*' options with mount type 'volume'"),
        ("type=tmpfs,dst=/b,tmpfs-size=x", "invalid value for tmpfs-size: x"),
    ],
)
def test_mounts_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_mount(text)
    assert str(caught.value) == message


def test_networks() -> None:
    assert parse_network("web") == {"Target": "web"}
    assert parse_network("name=web,alias=a,alias=b,ip=10.0.0.1,driver-opt=k=v,gw-priority=3") == {
        "Target": "web",
        "Aliases": ["a", "b"],
        "IPv4Address": "10.0.0.1",
        "DriverOpts": {"k": "v"},
        "GwPriority": 3,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("foo=bar", "invalid field key foo"),
        ("alias=x", "network name/id is not specified"),
        ("name=x,mac-address=zz", "zz is not a valid mac address"),
    ],
)
def test_networks_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_network(text)
    assert str(caught.value) == message


def test_devices() -> None:
    nodes, interfaces = parse_devices(["/dev/a", "/dev/a:r", "/dev/a:/dev/b:rw", "vendor.com/class=x"])
    assert [tuple(node.values()) for node in nodes] == [
        ("/dev/a", "/dev/a", "rwm"),
        ("/dev/a", "/dev/a", "r"),
        ("/dev/a", "/dev/b", "rw"),
    ]
    assert interfaces == ["vendor.com/class=x"]
    for spec, text in (("/a:/b:q", "bad mode specified: q"), ("null", "null is not an absolute path")):
        with pytest.raises(ValueError, match=text):
            parse_devices([spec])


def test_gpus() -> None:
    assert parse_gpus("all")["Count"] == -1
    assert parse_gpus("2")["Count"] == 2
    assert parse_gpus("device=0,capabilities=utility")["Capabilities"] == [["utility", "gpu"]]


def test_environment_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_CLIENT", "here")
    monkeypatch.delenv("NOT_SET", raising=False)
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf# comment\nA=b=c\r\n\n  X=1\nFROM_CLIENT\nNOT_SET\n")
    assert environment([str(path)], ["X=2", "Z", "FROM_CLIENT"]) == [
        "A=b=c",
        "X=1",
        "FROM_CLIENT=here",
        "X=2",
        "Z",
        "FROM_CLIENT=here",
    ]
    assert labels([str(path)], ["l=1", "l=2", "bare"]) == {"A": "b=c", "X": "1", "l": "2", "bare": ""}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"A B=1\n", "variable 'A B' contains whitespaces"),
        (b"=1\n", "no variable name on line '=1'"),
        (b"A=\xff\n", "invalid utf8 bytes at line 1"),
    ],
)
def test_environment_files_that_are_none(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=text):
        environment([str(path)], [])


@pytest.mark.parametrize("parser", [parse_mount, parse_network, parse_gpus])
@given(text=st.text(max_size=30))
def test_any_spec_is_read_or_refused(parser: Callable[[str], object], text: str) -> None:
    try:
        parser(text)
    except ValueError as error:
        assert str(error)
