import json
import os
from collections.abc import Iterator
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


def test_an_rpm_database_is_said_to_be_unread(tmp_path: Path, tree: Tree) -> None:
    assert unread(tree) == ""
    put(tmp_path, "var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0")
    assert unread(tree) == "var/lib/rpm/rpmdb.sqlite"
