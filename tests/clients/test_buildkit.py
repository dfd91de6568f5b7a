"""What a user builds with Docker's own clients: the CLI with buildx, bake and Compose."""

import base64
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from docker_plugins import write_config
from engine_fixture import Answer, LocalEngine
from registry_fixture import PASSWORD, USER, meddling, read_body, refuse, registry_server


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration directory of the CLI's, with its plugins."""
    config = tmp_path_factory.mktemp("config")
    write_config(config)
    return config


class Docker:
    def __init__(self, module_engine: LocalEngine, config: Path, work: Path) -> None:
        self.environment = {
            **module_engine.environment,
            "DOCKER_CONFIG": str(config),
            "BUILDKIT_PROGRESS": "plain",
        }
        self._work = work

    def __call__(self, *words: str, stdin: bytes = b"", **more: str) -> Answer:
        done = subprocess.run(
            ["docker", *words],
            cwd=self._work,
            env={**self.environment, **more},
            input=stdin,
            capture_output=True,
            timeout=20,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str, stdin: bytes = b"") -> Answer:
        answer = self(*words, stdin=stdin)
        assert answer.code == 0, f"docker {' '.join(words)}: {answer.stderr}"
        return answer


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A context, and where the client is."""
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox AS base\n"
        "ARG WHO=world\n"
        "RUN echo hello $WHO > /hello; echo said-$WHO\n"
        "FROM busybox\n"
        "COPY sub /sub\n"
        "COPY --from=base /hello /hello\n"
        'CMD ["cat", "/hello"]\n'
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("file\n")
    (tmp_path / "sub" / "link").symlink_to("file")
    (tmp_path / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "sub" / "run.sh").chmod(0o755)
    return tmp_path


@pytest.fixture
def docker(module_engine: LocalEngine, plugins: Path, work: Path) -> Docker:
    return Docker(module_engine, plugins, work)


def test_an_image_is_built_tagged_and_runs(docker: Docker) -> None:
    answer = docker.ok(
        "build", "-t", "bk:one", "-t", "bk-two", "--build-arg", "WHO=you", "--label", "a=b", "."
    )
    assert "said-you" in answer.stderr
    assert "naming to docker.io/library/bk:one" in answer.stderr
    assert docker.ok("run", "--rm", "bk:one").stdout == "hello you\n"
    assert docker.ok("inspect", "-f", "{{.Config.Labels.a}}", "bk-two").stdout == "b\n"
    listed = docker.ok("run", "--rm", "bk-two", "ls", "-ln", "/sub").stdout.split("\n")
    assert [line.split()[0] for line in listed[1:4]] == ["-rw-r--r--", "lrwxrwxrwx", "-rwxr-xr-x"]
    assert listed[1].split()[2:4] == ["0", "0"]


def test_a_second_build_is_cached_and_sends_next_to_nothing(docker: Docker, work: Path) -> None:
    (work / "sub" / "large").write_bytes(os.urandom(3 << 20))
    first = docker.ok("build", ".").stderr
    second = docker.ok("build", ".").stderr
    assert "transferring context: 3." in first and "transferring context: 3." not in second
    assert second.count("CACHED") >= 4
    (work / "sub" / "file").write_text("changed\n")
    third = docker.ok("build", "-t", "bk-changed", ".").stderr
    assert "transferring context: 3." not in third
    assert docker.ok("run", "--rm", "bk-changed", "cat", "/sub/link").stdout == "changed\n"


def test_only_what_the_steps_take_is_sent(docker: Docker, work: Path) -> None:
    (work / "huge").write_bytes(bytes(3 << 20))
    (work / ".dockerignore").write_text("sub/*\n!sub/file\n")
    answer = docker.ok("build", "-t", "bk-ignored", ".")
    assert "MB" not in answer.stderr
    assert docker.ok("run", "--rm", "bk-ignored", "ls", "/sub").stdout == "file\n"


def test_the_whole_context_comes_if_it_is_asked_for(docker: Docker, work: Path) -> None:
    for number in range(1_200):
        (work / "sub" / f"{number}").write_text(str(number))
    docker.ok("build", "-t", "bk-all", "-f", "-", ".", stdin=b"FROM busybox\nCOPY . /all\n")
    names = docker.ok("run", "--rm", "bk-all", "find", "/all", "-type", "f").stdout.split()
    assert len(names) == 1_203


def test_a_failed_step_shows_its_output_and_its_line(docker: Docker) -> None:
    answer = docker("build", "-", stdin=b"FROM busybox\nRUN true\nRUN echo oh; exit 3\n")
    assert answer.code == 1
    assert "Dockerfile:3" in answer.stderr and ">>> RUN echo oh; exit 3" in answer.stderr
    assert 'process "/bin/sh -c echo oh; exit 3" did not complete successfully: exit code: 3' in answer.stderr


def test_a_mistake_in_the_dockerfile_shows_its_line(docker: Docker) -> None:
    answer = docker("build", "-", stdin=b"FROM busybox\nRUNN true\n")
    assert ">>> RUNN true" in answer.stderr
    assert "unknown instruction: RUNN (did you mean RUN?)" in answer.stderr


def test_a_dockerfile_that_is_not_there_is_missed(docker: Docker, work: Path) -> None:
    (work / "Dockerfile").unlink()
    answer = docker("build", ".")
    assert "failed to read dockerfile: open Dockerfile: no such file or directory" in answer.stderr


def test_a_base_image_that_is_not_to_be_had_is_an_error(docker: Docker) -> None:
    answer = docker("build", "-", stdin=b"FROM 127.0.0.1:1/none\n")
    assert answer.code == 1 and "127.0.0.1:1/none" in answer.stderr


def test_checks_are_printed_and_nothing_is_built(docker: Docker) -> None:
    answer = docker("build", "--check", "-", stdin=b"FROM busybox as x\nRUN exit 1\n")
    assert answer.code == 1
    assert "Check complete, 1 warning has been found!" in answer.stdout
    assert "WARNING: FromAsCasing" in answer.stdout and ">>> FROM busybox as x" in answer.stdout
    assert "no warnings found" in docker.ok("build", "--check", "-", stdin=b"FROM busybox\n").stdout


def test_warnings_of_a_build_are_told(docker: Docker) -> None:
    answer = docker.ok("build", "-", stdin=b"FROM busybox as x\n")
    assert "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)" in answer.stderr


def test_a_dockerfile_tells_its_targets_and_its_parameters(docker: Docker) -> None:
    text = (
        b"# base is where it begins\nFROM busybox AS base\n# V is the version\nARG V=1\nFROM base AS last\n"
    )
    targets = docker.ok("build", "--call", "targets", "-", stdin=text).stdout
    assert targets.split("\n")[1:3] == ["base           is where it begins", "last (default) "]
    outline = json.loads(docker.ok("build", "--call", "outline,format=json", "-", stdin=text).stdout)
    assert outline["args"][0]["name"] == "V" and outline["args"][0]["description"] == "is the version"


def test_a_secret_is_there_and_stays_out(docker: Docker, work: Path) -> None:
    (work / "token").write_text("s3cret")
    text = b"FROM busybox\nRUN --mount=type=secret,id=tok test $(cat /run/secrets/tok) = s3cret\n"
    docker.ok("build", "--secret", "id=tok,src=token", "-t", "bk-secret", "-", stdin=text)
    answer = docker("run", "--rm", "bk-secret", "cat", "/run/secrets/tok")
    assert "s3cret" not in answer.stdout
    missing = text.replace(b"id=tok", b"id=other,required")
    assert "secret other: not found" in docker("build", "-", stdin=missing).stderr


def test_an_agent_of_the_clients_answers_in_a_step(docker: Docker, work: Path) -> None:
    path = str(work / "agent")
    # SSH_AGENTC_REQUEST_IDENTITIES is 11, an answer without identities 12 (draft-miller-ssh-agent).
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    while connection.recv(100):
                        connection.sendall(b"\0\0\0\5\x0c\0\0\0\0")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        ask = r"printf '\0\0\0\1\13' | nc local:$SSH_AUTH_SOCK | head -c 5 | od -An -tx1"
        text = f"FROM busybox\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK && {ask}\n".encode()
        docker.ok("build", "--no-cache", "--ssh", f"default={path}", "-", stdin=text)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    unset = docker("build", "--no-cache", "-", stdin=text.replace(b"type=ssh", b"type=ssh,required"))
    assert "unset ssh forward key default" in unset.stderr


def test_named_contexts_are_directories_and_images(docker: Docker, work: Path) -> None:
    (work / "other").mkdir()
    (work / "other" / "x").write_text("other x\n")
    (work / "other" / "left-out").touch()
    (work / "other" / ".dockerignore").write_text("left-out\n")
    text = b"FROM img\nCOPY --from=there . /there/\n"
    docker.ok(
        "build", "-t", "bk-named", "--build-context", "there=other",
        "--build-context", "img=docker-image://busybox", "-", stdin=text,
    )  # fmt: skip
    assert docker.ok("run", "--rm", "bk-named", "cat", "/there/x").stdout == "other x\n"
    assert "left-out" not in docker.ok("run", "--rm", "bk-named", "ls", "/there").stdout


def test_a_context_comes_as_a_tar_on_stdin(docker: Docker, work: Path) -> None:
    with tarfile.open(work / "context.tar.gz", "w:gz") as tar:
        tar.add(work / "Dockerfile", "Dockerfile")
        tar.add(work / "sub", "sub")
    docker.ok("build", "-t", "bk-tar", "-", stdin=(work / "context.tar.gz").read_bytes())
    assert docker.ok("run", "--rm", "bk-tar", "cat", "/sub/file").stdout == "file\n"


def test_outputs_are_a_directory_a_tar_and_archives(docker: Docker, work: Path) -> None:
    docker.ok("build", "-o", "out", ".")
    assert (work / "out" / "hello").read_text() == "hello world\n"
    assert os.readlink(work / "out" / "sub" / "link") == "file"
    assert (work / "out" / "sub" / "run.sh").stat().st_mode & 0o777 == 0o755
    docker.ok("build", "-o", "type=tar,dest=out.tar", ".")
    with tarfile.open(work / "out.tar") as tar:
        assert "sub/file" in tar.getnames()
    for kind in ("oci", "docker"):
        docker.ok("build", "-t", f"bk-{kind}", "-o", f"type={kind},dest={kind}.tar", ".")
        assert docker("inspect", f"bk-{kind}").code == 1
        assert f"bk-{kind}:latest" in docker.ok("load", "-i", f"{kind}.tar").stdout


def test_two_outputs_at_once(docker: Docker, work: Path) -> None:
    docker.ok("build", "-t", "bk-both", "-o", "a", "-o", "type=tar,dest=b.tar", "-o", "type=image", ".")
    assert (work / "a" / "hello").exists() and (work / "b.tar").exists()
    docker.ok("inspect", "bk-both")


def test_files_about_the_image_are_written(docker: Docker, work: Path) -> None:
    docker.ok("build", "--iidfile", "iid", "--metadata-file", "meta", "-t", "bk-meta", ".")
    image = docker.ok("inspect", "-f", "{{.Id}}", "bk-meta").stdout.strip()
    assert (work / "iid").read_text() == image
    meta = json.loads((work / "meta").read_text())
    assert meta["containerimage.config.digest"] == image
    assert meta["image.name"] == "docker.io/library/bk-meta"
    quiet = docker.ok("build", "-q", ".").stdout
    assert quiet.startswith("sha256:")


@pytest.mark.usefixtures("module_engine")
def test_an_image_is_pushed_with_the_clients_credentials(docker: Docker, work: Path, tmp_path: Path) -> None:
    with registry_server(tmp_path, users=True) as address:
        refused = docker("build", "--push", "-t", f"{address}/bk", ".")
        assert refused.code == 1
        docker.ok("login", "-u", USER, "-p", PASSWORD, address)
        docker.ok("build", "--push", "--metadata-file", "meta", "-t", f"{address}/bk", ".")
        digest = json.loads((work / "meta").read_text())["containerimage.digest"]
        docker.ok("rmi", f"{address}/bk")
        text = f"FROM {address}/bk@{digest}\nRUN cat /hello\n".encode()
        assert "hello world" in docker.ok("build", "--no-cache", "-", stdin=text).stderr
        docker.ok("logout", address)


def test_a_registry_with_tokens_takes_the_clients_credentials(
    docker: Docker, work: Path, tmp_path: Path
) -> None:
    basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    with registry_server(tmp_path) as upstream, meddling(upstream) as meddler:

        def meddle(handler: BaseHTTPRequestHandler) -> bool:
            given = handler.headers.get("Authorization", "")
            if handler.path.startswith("/token"):
                if handler.command == "GET" and given != basic:
                    return refuse(handler, 401)
                body = read_body(handler)
                if handler.command == "POST" and f"password={PASSWORD}".encode() not in body:
                    return refuse(handler, 401)
                answer = b'{"token": "let-in", "access_token": "let-in"}'
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(answer)))
                handler.end_headers()
                handler.wfile.write(answer)
                return True
            if given == "Bearer let-in":
                return False
            challenge = f'Bearer realm="http://{meddler.address}/token",service="here"'
            return refuse(handler, 401, WWW_Authenticate=challenge)

        meddler.meddle = meddle
        name = f"{meddler.address}/tokens"
        assert docker("build", "--push", "-t", name, ".").code == 1
        docker.ok("login", "-u", USER, "-p", PASSWORD, meddler.address)
        docker.ok("build", "--push", "-t", name, ".")
        docker.ok("rmi", name)
        text = f"FROM {name}\nRUN cat /hello\n".encode()
        assert "hello world" in docker.ok("build", "--no-cache", "-", stdin=text).stderr
        docker.ok("logout", meddler.address)
        docker.ok("rmi", name)
        assert docker("build", "--no-cache", "-", stdin=text).code == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--platform", "linux/amd64,linux/arm64"), "several platforms cannot be stored here"),
        (("--cache-to", "type=registry,ref=x"), "the build cache cannot be exported"),
        (("--cgroup-parent", "x"), "control group of their own"),
    ],
)
def test_what_cannot_be_done_is_said(docker: Docker, words: tuple[str, ...], reason: str) -> None:
    answer = docker("build", *words, ".")
    assert answer.code == 1 and reason in answer.stderr


@pytest.mark.parametrize(
    ("flag", "right", "command"),
    [
        ("--security=insecure", "security.insecure", "mount -t tmpfs none /mnt"),
        ("--network=host", "network.host", "true"),
    ],
)
def test_a_step_has_no_more_rights_than_the_user_allows(
    docker: Docker, flag: str, right: str, command: str
) -> None:
    text = f"FROM busybox\nRUN {flag} mkdir -p /mnt && {command}\n".encode()
    refused = docker("build", "-", stdin=text)
    assert refused.code == 1 and f"{right} is not allowed" in refused.stderr
    docker.ok("build", "--allow", right, "-", stdin=text)


def test_a_context_is_fetched_from_a_url(docker: Docker, work: Path) -> None:
    with tarfile.open(work / "context.tar.gz", "w:gz") as tar:
        tar.add(work / "Dockerfile", "Dockerfile")
        tar.add(work / "sub", "sub")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(work))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/context.tar.gz"
            docker.ok("build", "-t", "bk-url", url)
        finally:
            server.shutdown()
            thread.join()
    assert docker.ok("run", "--rm", "bk-url").stdout == "hello world\n"


def test_the_result_of_another_target_is_a_context(docker: Docker, work: Path) -> None:
    (work / "b.Dockerfile").write_text("FROM base\nRUN cat /hello; echo b > /b\n")
    (work / "docker-bake.json").write_text(
        json.dumps(
            {
                "target": {
                    "a": {"output": ["type=cacheonly"], "args": {"WHO": "a"}},
                    "b": {"contexts": {"base": "target:a"}, "dockerfile": "b.Dockerfile", "tags": ["bk-b"]},
                }
            }
        )
    )
    before = docker.ok("images", "-aq").stdout
    docker.ok("buildx", "bake", "b")
    assert docker.ok("run", "--rm", "bk-b", "cat", "/hello", "/b").stdout == "hello a\nb\n"
    docker.ok("rmi", "bk-b")
    assert docker.ok("images", "-aq").stdout == before


def test_a_service_of_composes_is_anothers_context(docker: Docker, work: Path) -> None:
    (work / "compose.yaml").write_text(
        "name: bk\nservices:\n"
        "  one: {build: .}\n"
        "  two:\n    build:\n      context: .\n"
        "      dockerfile_inline: 'FROM base'\n"
        "      additional_contexts: {base: 'service:one'}\n"
    )
    docker.ok("compose", "build", "two")
    assert docker.ok("run", "--rm", "bk-two").stdout == "hello world\n"


def test_an_engine_that_stops_ends_its_builds(own_engine: LocalEngine, plugins: Path, work: Path) -> None:
    docker = Docker(own_engine, plugins, work)
    (work / "Dockerfile").write_text("FROM busybox\nRUN echo ready; sleep 600\n")
    build = subprocess.Popen(
        ["docker", "build", "."],
        cwd=work,
        env=docker.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert build.stdout is not None
    with build.stdout:
        while b"ready" not in build.stdout.readline():
            assert build.poll() is None
        began = time.monotonic()
        own_engine.stop()
        assert time.monotonic() - began < 8
        build.stdout.read()
    assert build.wait(10) != 0
    own_engine.start()
    own_engine.assert_clean()


def test_a_cache_elsewhere_is_no_obstacle(docker: Docker) -> None:
    answer = docker.ok("build", "--cache-from", "localhost:1/x/y", ".")
    assert "importing cache manifest from localhost:1/x/y" in answer.stderr
    assert "connection refused" in answer.stderr


def test_a_cache_within_an_image_comes_from_a_registry(
    docker: Docker, module_engine: LocalEngine, work: Path, tmp_path: Path
) -> None:
    (work / "Dockerfile").write_text("FROM busybox\nRUN head -c 8 /dev/urandom > /o\n")
    with registry_server(tmp_path) as address:
        name = f"{address}/inline:1"
        docker.ok("build", "--cache-to", "type=inline", "--push", "-t", name, ".")
        module_engine.argosy("rmi", name)
        module_engine.ok("image", "prune", "-f")
        module_engine.ok("builder", "prune", "-af")
        again = docker.ok("build", "--cache-from", name, ".").stderr
    assert "[2/2] RUN head -c 8 /dev/urandom > /o\n" in again
    assert again.count(" CACHED") == 2


def test_bake_builds_several_targets(docker: Docker, work: Path) -> None:
    (work / "docker-bake.json").write_text(
        json.dumps(
            {
                "group": {"default": {"targets": ["a", "b"]}},
                "target": {
                    "a": {"tags": ["bk-a"], "args": {"WHO": "a"}},
                    "b": {"tags": ["bk-b"], "args": {"WHO": "b"}},
                },
            }
        )
    )
    docker.ok("buildx", "bake")
    assert (
        docker.ok("run", "--rm", "bk-a").stdout + docker.ok("run", "--rm", "bk-b").stdout
        == "hello a\nhello b\n"
    )


def test_compose_builds(docker: Docker, work: Path) -> None:
    (work / "compose.yaml").write_text(
        "name: bk\nservices:\n  one:\n    build: .\n  two:\n    build: {context: ., args: {WHO: two}}\n"
    )
    docker.ok("compose", "build")
    assert docker.ok("run", "--rm", "bk-two").stdout == "hello two\n"
    docker.ok("inspect", "bk-one")


def _running(step: str) -> bool:
    found = subprocess.run(["pgrep", "-f", step], capture_output=True, check=False)
    return found.returncode == 0


def _until(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def sleeping(docker: Docker, work: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A build in the middle of a step that would take long, and that step's command."""
    seconds = f"7{os.getpid() % 10_000:04}.{time.time_ns() % 10_000:04}"
    (work / "Dockerfile").write_text(f"FROM busybox\nRUN sleep {seconds}\n")
    build = subprocess.Popen(
        ["docker", "build", "."],
        cwd=work,
        env=docker.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        if not _until(lambda: _running(f"^sleep {seconds}")):
            build.kill()
            pytest.fail(f"the step does not run; the build said: {build.communicate()[0]!r}")
        yield build, f"^sleep {seconds}"
    finally:
        build.kill()
        build.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_build_ends_with_its_client(
    sleeping: tuple[subprocess.Popen[bytes], str], module_engine: LocalEngine, number: signal.Signals
) -> None:
    build, step = sleeping
    build.send_signal(number)
    build.wait(10)
    assert _until(lambda: not _running(step))
    module_engine.assert_clean()


def test_the_cache_is_listed_and_pruned(docker: Docker) -> None:
    docker.ok("build", ".")
    listed = docker.ok("buildx", "du", "--verbose").stdout
    assert "source.local" in listed and "regular" in listed
    assert "CACHED" in docker.ok("build", ".").stderr
    docker.ok("builder", "prune", "-f", "--filter", "type=source.local")
    assert "source.local" not in docker.ok("buildx", "du", "--verbose").stdout
    assert "CACHED" in docker.ok("build", ".").stderr
    docker.ok("buildx", "prune", "-af")
    assert docker.ok("buildx", "du").stdout.split()[-1] == "0B"
    assert docker.ok("build", ".").stderr.count("CACHED") <= 1


def test_past_builds_are_listed(docker: Docker) -> None:
    docker.ok("build", ".")
    docker("build", "-", stdin=b"FROM busybox\nRUN exit 1\n")
    listed = docker.ok("buildx", "history", "ls").stdout
    assert "Completed" in listed and "Error" in listed


def test_a_past_build_tells_its_log_again_and_can_be_forgotten(docker: Docker) -> None:
    docker.ok("build", "--no-cache", "--build-arg", "WHO=past", ".")
    reference = docker.ok("buildx", "history", "ls", "--format", "{{.Ref}}").stdout.split()[0]
    log = docker.ok("buildx", "history", "logs", reference)
    assert "said-past" in log.stdout + log.stderr
    shown = docker.ok("buildx", "history", "inspect", reference).stdout
    assert "WHO" in shown and "past" in shown
    docker.ok("buildx", "history", "rm", reference)
    assert reference not in docker.ok("buildx", "history", "ls").stdout
    assert docker("buildx", "history", "logs", reference).code == 1


def test_a_git_repository_is_a_context(docker: Docker, work: Path, tmp_path: Path) -> None:
    git = ["git", "-C", str(work), "-c", "user.name=n", "-c", "user.email=e"]
    (work / "sub/Dockerfile").write_text("FROM busybox\nCOPY file /f\nRUN cat /f\n")
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "m"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run([*git, "update-server-info"], check=True)
    (work / "sub/file").write_text("not committed")
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(SimpleHTTPRequestHandler, directory=str(work))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/.git"
        for what in (f"{url}#main:sub", f"{url}?branch=main&subdir=sub"):
            assert "] RUN cat /f" in docker.ok("build", "--no-cache", "-t", "bk:git", what).stderr
        assert docker.ok("run", "--rm", "bk:git", "cat", "/f").stdout == "file\n"
        refused = docker("build", f"{url}?branch=main#other")
        assert refused.code == 1 and "ref conflicts" in refused.stderr
    finally:
        server.shutdown()
        server.server_close()


def test_the_builder_shows_what_it_is(docker: Docker) -> None:
    shown = docker.ok("buildx", "inspect").stdout
    assert "running" in shown and "linux/amd64" in shown


def test_several_builds_of_one_context_at_a_time(docker: Docker, work: Path) -> None:
    answers: list[Answer] = []

    def build(number: int) -> None:
        answers.append(docker("build", "-t", f"bk-at-once-{number}", "--build-arg", f"WHO={number}", "."))

    threads = [threading.Thread(target=build, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.code for answer in answers] == [0] * 4, answers
    for number in range(4):
        assert docker.ok("run", "--rm", f"bk-at-once-{number}").stdout == f"hello {number}\n"


def test_the_engine_loads_no_grpc_before_it_is_needed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, argosy.daemon; print('h2' in sys.modules)"],
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"False\n"
