import contextlib
import json
import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from argosy.build.attest.packages import packages, unread
from argosy.build.attest.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    (tmp_path / "root").mkdir()
    descriptor = os.open(tmp_path / "root", os.O_RDONLY)
    yield Tree(descriptor)
    os.close(descriptor)


def put(tmp_path: Path, name: str, text: str | bytes) -> None:
    path = tmp_path / "root" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def found(tree: Tree) -> list[str]:
    return [each.purl for each in packages(tree)]


def test_dpkg_lists_what_is_installed(tmp_path: Path, tree: Tree) -> None:
    put(tmp_path, "etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    put(
        tmp_path,
        "var/lib/dpkg/status",
        "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2-1+b1\n"
        "Description: a shell\n Package: not this\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
    )
    assert found(tree) == ["pkg:deb/debian/bash@5.2-1%2Bb1?arch=amd64&distro=debian-12"]


def test_distroless_images_have_a_file_for_each_package(tmp_path: Path, tree: Tree) -> None:
    put(tmp_path, "var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\nArchitecture: all\n")
    assert found(tree) == ["pkg:deb/debian/tzdata@2024a?arch=all"]


def test_apk_lists_what_is_installed_and_its_licence(tmp_path: Path, tree: Tree) -> None:
    put(tmp_path, "usr/lib/os-release", "ID=alpine\nVERSION_ID=3.20.1\n")
    put(tmp_path, "lib/apk/db/installed", "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\n")
    (package,) = packages(tree)
    assert package.purl == "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1"
    assert (package.licence, package.found_in) == ("MIT", "lib/apk/db/installed")


def test_python_and_node_packages_are_found_wherever_they_are(tmp_path: Path, tree: Tree) -> None:
    put(
        tmp_path,
        "opt/v/lib/python3.12/site-packages/My_Pkg-1.0.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: My_Pkg\nVersion: 1.0\nLicense: BSD\n\nName: in the text\n",
    )
    put(tmp_path, "app/node_modules/@scope/x/package.json", '{"name": "@scope/x", "version": "2.0.0"}')
    put(tmp_path, "app/package.json", '{"name": "app", "version": "0"}')
    assert found(tree) == ["pkg:npm/%40scope/x@2.0.0", "pkg:pypi/my-pkg@1.0"]


def test_no_link_leads_outside(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "status").write_text("Package: outside\nVersion: 1\n")
    put(tmp_path, "var/lib/dpkg/other", "")
    (tmp_path / "root/var/lib/dpkg/status").symlink_to("../../../../status")
    (tmp_path / "elsewhere/node_modules/x").mkdir(parents=True)
    (tmp_path / "elsewhere/node_modules/x/package.json").write_text('{"name": "x", "version": "1"}')
    (tmp_path / "root/app").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root/loop").symlink_to(".")
    assert found(tree) == []


def test_databases_that_are_none_do_no_harm(tmp_path: Path, tree: Tree) -> None:
    os.makedirs(tmp_path / "root/var/lib/dpkg")
    os.mkfifo(tmp_path / "root/var/lib/dpkg/status")
    put(tmp_path, "lib/apk/db/installed", b"P:" + b"\xff" * 100_000 + b"\n" * 1_000_000)
    put(tmp_path, "node_modules/deep/package.json", "[" * 100_000)
    put(tmp_path, "node_modules/odd/package.json", json.dumps({"name": ["x"], "version": {}}))
    put(tmp_path, "x.dist-info/METADATA", b"\0" * 10_000)
    (package,) = packages(tree)
    assert len(package.name) <= 512


def header(**fields: str | int) -> bytes:
    """As RPM stores a package."""
    tags = {"name": 1000, "version": 1001, "release": 1002, "epoch": 1003, "license": 1014, "arch": 1022}
    entries, data = b"", b""
    for name, value in fields.items():
        data += bytes(-len(data) % 4)
        kind = 4 if isinstance(value, int) else 6
        entries += struct.pack(">IIiI", tags[name], kind, len(data), 1)
        data += struct.pack(">I", value) if isinstance(value, int) else value.encode() + b"\0"
    return struct.pack(">II", len(fields), len(data)) + entries + data


def rpm_database(path: Path, *statements: str, blobs: Sequence[bytes] = ()) -> bytes:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statement in statements:
            connection.execute(statement)
        for blob in blobs:
            connection.execute("INSERT INTO Packages (blob) VALUES (?)", (blob,))
    return path.read_bytes()


_RPM_TABLE = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)"


def test_rpm_lists_what_is_installed(tmp_path: Path, tree: Tree) -> None:
    put(tmp_path, "etc/os-release", "ID=fedora\nVERSION_ID=40\n")
    whole = header(name="curl", version="8.6.0", release="7.fc40", epoch=1, license="curl", arch="x86_64")
    damaged = (b"", b"\xff" * 64, whole[:30], header(version="1"))
    database = rpm_database(tmp_path / "db", _RPM_TABLE, blobs=[*damaged, whole])
    put(tmp_path, "usr/lib/sysimage/rpm/rpmdb.sqlite", database)
    (package,) = packages(tree)
    assert package.purl == "pkg:rpm/fedora/curl@8.6.0-7.fc40?arch=x86_64&distro=fedora-40&epoch=1"
    assert package.licence == "curl"
    assert unread(tree) == ""


_FOREVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n)"


@pytest.mark.parametrize(
    "statement", [f"CREATE VIEW Packages AS {_FOREVER} SELECT i AS blob FROM n", "CREATE TABLE Other (x)"]
)
def test_a_database_that_is_made_to_harm_is_not_read(tmp_path: Path, tree: Tree, statement: str) -> None:
    put(tmp_path, "var/lib/rpm/rpmdb.sqlite", rpm_database(tmp_path / "db", statement))
    assert found(tree) == []
    assert unread(tree) == "var/lib/rpm/rpmdb.sqlite"


@pytest.mark.parametrize("name", ["rpmdb.sqlite", "Packages", "Packages.db"])
def test_a_database_of_another_kind_is_said_to_be_unread(tmp_path: Path, tree: Tree, name: str) -> None:
    assert unread(tree) == ""
    put(tmp_path, f"var/lib/rpm/{name}", b"SQLite format 3\0")
    assert unread(tree) == f"var/lib/rpm/{name}"
