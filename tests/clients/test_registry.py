"""Registries through the command lines: push, pull, login, manifests, and trouble on the way."""

import json
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from engine_fixture import LocalEngine
from image_store import unfinished
from registry_fixture import (
    PASSWORD,
    USER,
    Meddler,
    make_certificates,
    meddling,
    read_body,
    refuse,
    registry_server,
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with registry_server(tmp_path) as address:
        yield address


@pytest.fixture
def meddler(registry: str) -> Iterator[Meddler]:
    with meddling(registry) as found:
        yield found


@pytest.fixture
def image(engine: LocalEngine) -> Iterator[str]:
    """The ID of an image of its own, tagged `own`."""
    tar = subprocess.run(
        ["tar", "-c", "--mtime=@0", "-C", "/etc", "hostname", "passwd"], check=True, capture_output=True
    ).stdout
    found = engine.ok("import", "-c", f"LABEL of={os.urandom(4).hex()}", "-", "own", stdin=tar)
    yield found
    for name in engine.ok("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").splitlines():
        if name.startswith(("own:", "127.0.0.1:")):
            engine.argosy("rmi", "-f", name.split()[1])


@pytest.mark.parametrize("client", ["argosy", "docker"])
def test_what_is_pushed_is_pulled(engine: LocalEngine, registry: str, image: str, client: str) -> None:
    run = engine.argosy if client == "argosy" else engine.docker
    name = f"{registry}/team/app:1"
    engine.ok("tag", "own", name)
    answer = run("push", name)
    layer = json.loads(engine.ok("image", "inspect", "--format", "{{json .RootFS.Layers}}", "own"))[0][7:19]
    lines = answer.stdout.splitlines()
    assert answer.code == 0, answer.stderr
    assert lines[:3] == [
        f"The push refers to repository [{registry}/team/app]",
        f"{layer}: Preparing",
        f"{layer}: Pushed",
    ]
    assert lines[3].startswith("1: digest: sha256:")
    digest = lines[3].split()[2]
    assert engine.ok("image", "inspect", "--format", '{{join .RepoDigests " "}}', name) == (
        f"{registry}/team/app@{digest}"
    )
    again = run("push", name).stdout.splitlines()
    assert again[2] == f"{layer}: Layer already exists"
    assert again[3] == lines[3]
    engine.ok("rmi", "-f", image)
    assert run("pull", name).stdout.splitlines()[-2:] == [
        f"Status: Downloaded newer image for {name}", name
    ]  # fmt: skip
    assert engine.ok("image", "inspect", "--format", "{{.Id}}", name) == image


def test_a_layer_that_came_from_a_registry_goes_back_as_it_came(
    engine: LocalEngine, registry: str, image: str
) -> None:
    first, second = f"{registry}/one:1", f"{registry}/two:1"
    engine.ok("tag", "own", first)
    digest = engine.ok("push", first).splitlines()[-1].split()[2]
    engine.ok("rmi", "-f", image)
    engine.ok("pull", first)
    engine.ok("tag", first, second)
    lines = engine.ok("push", second).splitlines()
    assert lines[2].endswith(": Mounted from one")
    assert lines[3].split()[2] == digest


def test_all_tags_go_at_once(engine: LocalEngine, registry: str, image: str) -> None:
    for tag in ("1", "2"):
        engine.ok("tag", "own", f"{registry}/app:{tag}")
    lines = engine.ok("push", "-a", f"{registry}/app").splitlines()
    assert [line.split(":")[0] for line in lines if "digest: sha256:" in line] == ["1", "2"]
    assert engine.ok("push", "-q", f"{registry}/app:1") == f"{registry}/app:1"


@pytest.mark.parametrize("client", ["argosy", "docker"])
def test_all_tags_come_at_once(engine: LocalEngine, registry: str, image: str, client: str) -> None:
    run = engine.argosy if client == "argosy" else engine.docker
    for tag in ("1", "2"):
        engine.ok("tag", "own", f"{registry}/app:{tag}")
    engine.ok("push", "-a", f"{registry}/app")
    engine.ok("rmi", "-f", image)
    answer = run("pull", "-a", f"{registry}/app")
    assert answer.code == 0, answer.stderr
    assert f"Status: Downloaded newer image for {registry}/app" in answer.stdout.splitlines()
    assert set(engine.ok("images", "--format", "{{.Tag}}", f"{registry}/app").split()) == {"1", "2"}


def test_the_platform_of_a_push_must_be_the_images(engine: LocalEngine, registry: str, image: str) -> None:
    name = f"{registry}/app:1"
    engine.ok("tag", "own", name)
    for run in (engine.argosy, engine.docker):
        answer = run("push", "--platform", "linux/s390x", name)
        assert answer.code == 1
        assert "Using --platform pushes only the specified platform manifest" in answer.stdout
        assert (
            f"Error response from daemon: image with reference {name} was found but its platform "
            "(linux/amd64) does not match the specified platform (linux/s390x)"
        ) in answer.stderr
        assert run("push", "--platform", "linux/amd64", name).code == 0


def test_what_is_not_here_cannot_be_pushed(engine: LocalEngine, registry: str, image: str) -> None:
    answer = engine.argosy("push", f"{registry}/absent")
    assert answer.code == 1
    assert f"An image does not exist locally with the tag: {registry}/absent" in answer.stderr
    engine.ok("tag", "own", f"{registry}/app:1")
    assert f"tag does not exist: {registry}/app:2" in engine.argosy("push", f"{registry}/app:2").stderr


def test_a_registry_with_users_wants_a_login(engine: LocalEngine, tmp_path: Path, image: str) -> None:
    with registry_server(tmp_path, users=True) as registry:
        name = f"{registry}/app:1"
        engine.ok("tag", "own", name)
        refused = engine.argosy("push", name)
        assert refused.code == 1
        assert refused.stderr.startswith("no basic auth credentials\n")
        assert f"argosy login {registry}" in refused.stderr
        wrong = engine.argosy("login", "-u", USER, "--password-stdin", registry, stdin=b"wrong\n")
        assert wrong.code == 1
        assert f"login attempt to http://{registry}/v2/ failed with status: 401" in wrong.stderr
        login = engine.argosy("login", "-u", USER, "--password-stdin", registry, stdin=PASSWORD.encode())
        assert (login.code, login.stdout) == (0, "Login Succeeded\n")
        assert "stored unencrypted" in login.stderr
        config = Path(engine.environment["DOCKER_CONFIG"], "config.json")
        assert config.stat().st_mode & 0o777 == 0o600
        engine.ok("push", name)
        engine.ok("rmi", "-f", image)
        # One login serves both clients.
        assert engine.docker("pull", name).code == 0
        assert engine.ok("login", registry) == "Login Succeeded"
        assert engine.docker("logout", registry).code == 0
        assert engine.argosy("pull", name).code == 1
        assert engine.docker("login", "-u", USER, "-p", PASSWORD, registry).code == 0
        assert engine.ok("logout", registry) == f"Removing login credentials for {registry}"
        assert json.loads(config.read_text())["auths"] == {}


def test_a_credential_helper_keeps_the_login(engine: LocalEngine, tmp_path: Path, image: str) -> None:
    helper = tmp_path / "docker-credential-box"
    helper.write_text(
        "#!/bin/sh\n"
        f"case $1 in store) cat > {tmp_path}/kept;; erase) rm -f {tmp_path}/kept;;\n"
        f'get) cat {tmp_path}/kept 2>/dev/null || {{ echo "credentials not found in native keychain"; exit 1; }}'
        ";; esac\n"
    )
    helper.chmod(0o755)
    config = Path(engine.environment["DOCKER_CONFIG"], "config.json")
    config.parent.mkdir(exist_ok=True)
    config.write_text(json.dumps({"credsStore": "box", "other": 1}))
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}:{before}"
    try:
        with registry_server(tmp_path, users=True) as registry:
            login = engine.argosy("login", "-u", USER, "--password-stdin", registry, stdin=PASSWORD.encode())
            assert (login.code, login.stderr) == (0, "")
            assert json.loads((tmp_path / "kept").read_text())["Secret"] == PASSWORD
            assert json.loads(config.read_text()) == {
                "credsStore": "box", "other": 1, "auths": {registry: {}},
            }  # fmt: skip
            engine.ok("tag", "own", f"{registry}/app")
            engine.ok("push", f"{registry}/app")
            engine.ok("logout", registry)
            assert not (tmp_path / "kept").exists()
    finally:
        os.environ["PATH"] = before
        config.unlink()


def test_a_registry_behind_tls_is_spoken_to(engine: LocalEngine, tmp_path: Path, image: str) -> None:
    make_certificates(tmp_path)
    with registry_server(tmp_path, certificates=tmp_path) as registry:
        engine.ok("tag", "own", f"{registry}/app:1")
        engine.ok("push", f"{registry}/app:1")
        engine.ok("rmi", "-f", image)
        engine.ok("pull", f"{registry}/app:1")


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """An address of this host that is not on its loopback (RFC 5737 reserves it for such)."""
    name, address = "agt-elsewhere", "198.51.100.7"
    # Not every kernel has interfaces that lead nowhere.
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", f"{name}2"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield address
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)


def test_a_registry_elsewhere_is_spoken_to_without_tls_on_request(
    own_engine: LocalEngine, tmp_path: Path, elsewhere: str
) -> None:
    with registry_server(tmp_path, host=elsewhere) as registry:
        own_engine.ok("tag", "busybox", f"{registry}/app:1")
        refused = own_engine.argosy("push", f"{registry}/app:1")
        assert refused.code == 1 and "--insecure-registry" in refused.stderr
        for allowed in (registry, "198.51.100.0/24"):
            own_engine.stop()
            own_engine.start(f"--insecure-registry={allowed}", "--no-proxy=*")
            own_engine.ok("push", f"{registry}/app:1")
            own_engine.ok("rmi", f"{registry}/app:1")
            own_engine.ok("pull", f"{registry}/app:1")


_TAR_OF_STDIN = """
import io, sys, tarfile
data = sys.stdin.buffer.read()
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
    member = tarfile.TarInfo("data")
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
"""


def _first(times: int, method: str, act: object) -> object:
    """Meddle with the first requests of a method."""
    left = [times]

    def meddle(handler: BaseHTTPRequestHandler) -> bool:
        if handler.command == method and left[0]:
            left[0] -= 1
            return act(handler)  # type: ignore[operator, no-any-return]
        return False

    return meddle


def _cut(handler: BaseHTTPRequestHandler) -> bool:
    if handler.command == "PATCH":
        handler.rfile.read(10)
    handler.close_connection = True
    handler.connection.close()
    return True


TROUBLE = {
    "busy": ("PATCH", lambda handler: refuse(handler, 503)),
    "busy for a while": ("POST", lambda handler: refuse(handler, 429, Retry_After="1")),
    "broken at the end": ("PUT", lambda handler: refuse(handler, 500)),
    "cut off": ("PATCH", _cut),
    "cut off at the start": ("HEAD", _cut),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_a_push_goes_on_after_trouble(
    engine: LocalEngine, meddler: Meddler, image: str, trouble: str
) -> None:
    method, act = TROUBLE[trouble]
    meddler.meddle = _first(2, method, act)  # type: ignore[assignment]
    name = f"{meddler.address}/app:1"
    engine.ok("tag", "own", name)
    engine.ok("push", name)
    engine.ok("rmi", "-f", image)
    engine.ok("pull", name)


def test_a_registry_that_is_always_busy_is_given_up(
    engine: LocalEngine, meddler: Meddler, image: str
) -> None:
    meddler.meddle = lambda handler: handler.command == "PATCH" and refuse(handler, 500)
    engine.ok("tag", "own", f"{meddler.address}/app:1")
    answer = engine.argosy("push", f"{meddler.address}/app:1")
    assert answer.code == 1
    assert "500" in answer.stderr
    assert meddler.count("PATCH") == 5


def test_a_registry_that_takes_no_pieces_is_given_the_layer_whole(
    engine: LocalEngine, meddler: Meddler
) -> None:
    """The refusal comes after some of it has been sent."""
    meddler.meddle = lambda handler: handler.command == "PATCH" and refuse(handler, 405)
    name = f"{meddler.address}/app:1"
    data = b"x" * 512 + os.urandom(5 << 20)
    tar = subprocess.run(["python3", "-c", _TAR_OF_STDIN], input=data, check=True, capture_output=True).stdout
    image = engine.ok("import", "-", name, stdin=tar)
    engine.ok("push", name)
    assert meddler.count("PATCH") == 1
    engine.ok("rmi", "-f", image)
    engine.ok("pull", name)
    assert engine.ok("image", "inspect", "--format", "{{.Id}}", name) == image
    engine.ok("rmi", "-f", image)


def test_a_mirror_stands_in_for_docker_hub(own_engine: LocalEngine, meddler: Meddler) -> None:
    own_engine.ok("tag", "busybox", f"{meddler.address}/library/mirrored:1")
    own_engine.ok("push", f"{meddler.address}/library/mirrored:1")
    meddler.requests.clear()
    own_engine.stop()
    own_engine.start(
        f"--registry-mirror=http://{meddler.address}", "--max-concurrent-downloads=1", "--no-proxy=*"
    )
    answer = own_engine.docker("pull", "mirrored:1")
    assert answer.code == 0, answer.stderr
    assert "Status: Downloaded newer image for mirrored:1" in answer.stdout
    assert meddler.count("GET /v2/library/mirrored/manifests/1") == 1


def test_a_limit_of_the_registry_is_told_with_the_way_out(
    engine: LocalEngine, meddler: Meddler, image: str
) -> None:
    meddler.meddle = lambda handler: refuse(handler, 429)
    answer = engine.argosy("pull", f"{meddler.address}/app:1")
    assert answer.code == 1
    assert "toomanyrequests" in answer.stderr
    assert "docker login raises the limit" in answer.stderr
    assert meddler.count("GET /v2/app/manifests/1") == 1


def test_a_blob_that_changes_on_its_way_is_not_taken_for_the_layer(
    engine: LocalEngine, meddler: Meddler, image: str
) -> None:
    meddler.alter = lambda data: data.replace(b"\x1f\x8b", b"\x1f\x8c")
    engine.ok("tag", "own", f"{meddler.address}/app:1")
    answer = engine.argosy("push", f"{meddler.address}/app:1")
    assert answer.code == 1
    assert "digest invalid" in answer.stderr
    meddler.alter = lambda data: data
    engine.ok("push", f"{meddler.address}/app:1")


def test_an_upload_can_be_sent_elsewhere_without_our_authorization(
    engine: LocalEngine, tmp_path: Path, image: str
) -> None:
    """The registry's answer names another host for the upload."""
    seen: list[str | None] = []
    with (
        registry_server(tmp_path, users=True) as registry,
        meddling(registry) as front,
        meddling("") as other,
    ):

        def send_elsewhere(handler: BaseHTTPRequestHandler) -> bool:
            if handler.command != "POST":
                return False
            if "Authorization" not in handler.headers:
                return False
            read_body(handler)
            return refuse(handler, 202, Location=f"http://{other.address}/upload")

        def take(handler: BaseHTTPRequestHandler) -> bool:
            seen.append(handler.headers.get("Authorization"))
            return refuse(handler, 403)

        front.meddle, other.meddle = send_elsewhere, take
        engine.argosy("login", "-u", USER, "--password-stdin", front.address, stdin=PASSWORD.encode())
        engine.ok("tag", "own", f"{front.address}/app:1")
        assert engine.argosy("push", f"{front.address}/app:1").code == 1
        engine.ok("logout", front.address)
    assert seen
    assert set(seen) == {None}


def test_a_failed_pull_leaves_nothing(engine: LocalEngine, meddler: Meddler, image: str) -> None:
    engine.ok("tag", "own", f"{meddler.address}/app:1")
    engine.ok("push", f"{meddler.address}/app:1")
    engine.ok("rmi", "-f", image)
    meddler.meddle = lambda handler: "/blobs/" in handler.path and refuse(handler, 404)
    answer = engine.argosy("pull", f"{meddler.address}/app:1")
    assert answer.code == 1
    assert unfinished(engine.root) == []


def test_an_index_is_made_of_images_at_a_registry(engine: LocalEngine, registry: str, image: str) -> None:
    for repository, tag in (("app", "a"), ("elsewhere", "b")):
        engine.ok("tag", "own", f"{registry}/{repository}:{tag}")
        engine.ok("push", f"{registry}/{repository}:{tag}")
    index = f"{registry}/app:all"
    first, second = f"{registry}/app:a", f"{registry}/elsewhere:b"
    assert engine.ok("manifest", "create", index, first, second) == f"Created manifest list {index}"
    refused = engine.argosy("manifest", "create", index, first)
    assert (refused.code, "no --amend flag" in refused.stderr) == (1, True)
    engine.ok("manifest", "annotate", index, second, "--arch", "arm64", "--variant", "v8")
    shown = json.loads(engine.ok("manifest", "inspect", index))
    assert [entry["platform"] for entry in shown["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    bogus = engine.argosy("manifest", "annotate", index, second, "--arch", "bogus")
    assert bogus.stderr == "manifest entry for image has unsupported os/arch combination: /bogus\n"
    *brought, digest = engine.ok("manifest", "push", "--purge", index).splitlines()
    assert [line.split("@")[0] for line in brought] == [f"Pushed ref {registry}/app"]
    assert engine.argosy("manifest", "rm", index).code == 1
    # Now it is the registry's, and both clients read it.
    for words in ((index,), ("-v", index)):
        ours = engine.ok("manifest", "inspect", *words)
        assert ours + "\n" == engine.docker("manifest", "inspect", "--insecure", *words).stdout
    assert json.loads(engine.ok("manifest", "inspect", index)) == shown
    absent = engine.argosy("manifest", "inspect", f"{registry}/app:no")
    assert (absent.code, absent.stderr) == (1, f"no such manifest: {registry}/app:no\n")
    engine.ok("rmi", "-f", image)
    engine.ok("pull", index)
    assert engine.ok("image", "inspect", "--format", '{{join .RepoDigests " "}}', index).endswith(digest)


def test_a_registrys_image_is_looked_at_without_a_pull(
    engine: LocalEngine, registry: str, image: str
) -> None:
    name = f"{registry}/app:1"
    engine.ok("tag", "own", name)
    engine.ok("push", name)
    verbose = json.loads(engine.ok("manifest", "inspect", "-v", name))
    assert verbose["Ref"] == name
    assert verbose["Descriptor"]["platform"] == {"architecture": "amd64", "os": "linux"}
    assert verbose["SchemaV2Manifest"]["config"]["digest"] == image


def test_a_search_asks_the_registry_that_the_term_names(engine: LocalEngine, meddler: Meddler) -> None:
    found = [
        {"name": "few", "description": "x" * 60, "star_count": 1, "is_official": False},
        {"name": "many", "description": "two\nlines", "star_count": 9, "is_official": True},
    ]

    def answer(handler: BaseHTTPRequestHandler) -> bool:
        data = json.dumps({"results": found}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
        return True

    meddler.meddle = answer
    lines = engine.ok("search", f"{meddler.address}/word").splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"],
        ["few", "x" * 44 + "…", "1"],
        ["many", "two", "lines", "9", "[OK]"],
    ]
    assert meddler.requests == ["GET /v1/search?q=word&n=25"]
    theirs = engine.docker("search", "--format", "{{json .}}", "--no-trunc", f"{meddler.address}/word")
    ours = engine.argosy("search", "--format", "{{json .}}", "--no-trunc", f"{meddler.address}/word")
    assert ours.stdout == theirs.stdout
    only = ("search", "--filter", "stars=3", "--format", "{{.Name}}", f"{meddler.address}/word")
    assert engine.ok(*only) == "many"
    assert "invalid filter 'colour'" in engine.argosy("search", "-f", "colour=red", "x").stderr
    assert "outside the range" in engine.argosy("search", "--limit", "1000", "x").stderr
