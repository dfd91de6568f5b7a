"""Images from Dockerfiles, built with our command and by Docker's classic API."""

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from engine_fixture import LocalEngine
from registry_fixture import registry_server

SECRET = "sesame-9d1c6f"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "context").mkdir()
    return tmp_path / "context"


def write(context: Path, dockerfile: str, **files: str) -> str:
    (context / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (context / name.replace("__", ".")).write_text(text)
    return str(context)


def build(engine: LocalEngine, *words: str, stdin: bytes = b"") -> str:
    """What it says, on both streams."""
    answer = engine.argosy("build", "--progress", "plain", *words, stdin=stdin)
    assert answer.code == 0, answer.stderr
    return answer.stderr + answer.stdout


def failure(engine: LocalEngine, *words: str) -> str:
    answer = engine.argosy("build", "--progress", "plain", *words)
    assert answer.code == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    return answer.stderr


def cached(output: str) -> list[str]:
    """The steps that came from the cache."""
    names = dict(
        line[1:].split(" ", 1) for line in output.splitlines() if line.startswith("#") and "] " in line
    )
    numbers = [line[1:].split()[0] for line in output.splitlines() if line.endswith(" CACHED")]
    return [names[number] for number in numbers if number in names]


def test_a_build_runs_what_it_says(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nCOPY word /w\nRUN cat /w /w > /ww\nCMD cat /ww\n", word="hello\n")
    build(module_engine, "-t", "built", path)
    assert module_engine.ok("run", "--rm", "built") == "hello\nhello"


def test_only_what_comes_after_a_change_runs_again(module_engine: LocalEngine, context: Path) -> None:
    text = "FROM busybox\nCOPY first /\nRUN echo one > /one\nCOPY . /all/\nRUN echo two > /two\n"
    path = write(context, text, first="1", second="2")
    build(module_engine, path)
    again = cached(build(module_engine, path))
    assert [name.split("] ")[1] for name in again[1:]] == text.splitlines()[1:]
    (context / "second").write_text("changed")
    after = [name.split("] ")[1] for name in cached(build(module_engine, path))]
    assert after[1:] == ["COPY first /", "RUN echo one > /one"]


def test_touching_a_file_changes_nothing(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nCOPY a /\n", a="1")
    build(module_engine, path)
    os.utime(context / "a", (1, 1))
    assert any("COPY a" in name for name in cached(build(module_engine, path)))


def test_an_ignored_file_invalidates_nothing(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nCOPY . /c/\n", a="1", noise="1", __dockerignore="noise\n")
    build(module_engine, path)
    (context / "noise").write_text("2")
    assert any("COPY ." in name for name in cached(build(module_engine, path)))


def test_no_cache_runs_everything_again(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nRUN date > /d\n")
    build(module_engine, path)
    assert not any("RUN" in name for name in cached(build(module_engine, "--no-cache", path)))


def test_stages_run_at_once(module_engine: LocalEngine, context: Path) -> None:
    stages = "".join(
        f"FROM busybox AS s{n}\nRUN sleep 1; echo {n} {os.urandom(4).hex()} > /n{n}\n" for n in range(4)
    )
    copies = "".join(f"COPY --from=s{n} /n{n} /\n" for n in range(4))
    path = write(context, f"{stages}FROM scratch\n{copies}")
    began = time.monotonic()
    build(module_engine, path)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("dockerfile", "line", "said"),
    [
        ("FROM busybox\nCOPY package*.json\n", 2, "COPY requires at least two arguments"),
        ("FROM busybox\nRUNN x\n", 2, "did you mean RUN?"),
        ("FROM busybox AS builder\nFROM busybox\nCOPY --from=bulider a b\n", 3, "did you mean builder?"),
        (
            "FROM busybox\nCOPY hidden.txt /\n",
            2,
            "hidden.txt exists, but .dockerignore line 2 (*.txt) excludes it",
        ),
        ("FROM busybox\nCOPY raedme /\n", 2, "did you mean readme?"),
        ("FROM busybox\nRUN exit 3\n", 2, "exit code: 3"),
        ("FROM busybox\nRUN --mount=type=secret,id=no,required=true true\n", 2, "--secret id=no,src=FILE"),
        ("FROM busybox\nRUN nosuchcommand\n", 2, "exit code: 127"),
    ],
)
def test_an_error_shows_the_line_and_the_way_out(
    module_engine: LocalEngine, context: Path, dockerfile: str, line: int, said: str
) -> None:
    path = write(context, dockerfile, hidden__txt="x", readme="x", __dockerignore="# no texts\n*.txt\n")
    output = failure(module_engine, path)
    assert said in output
    assert f"{line:4d} | >>> " in output


def test_a_missing_stage_or_dockerfile_is_named(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox AS one\n")
    assert "one" in failure(module_engine, "--target", "onee", path)
    os.rename(context / "Dockerfile", context / "dockerfile")
    assert "Did you mean" in failure(module_engine, path)
    assert "not found" in failure(module_engine, str(context / "nowhere"))


def test_a_secret_is_seen_by_its_step_and_kept_nowhere(
    module_engine: LocalEngine, context: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    text = (
        "FROM busybox\n"
        "RUN --mount=type=secret,id=word test $(wc -c < /run/secrets/word) = 13 && echo right > /out\n"
        'RUN --mount=type=secret,id=word,env=WORD test "${#WORD}" = 13\n'
        "RUN --mount=type=secret,id=word,target=/etc/word,mode=0400,uid=5 stat -c %u%a /etc/word > /owner\n"
    )
    path = write(context, text)
    output = build(module_engine, "--secret", f"id=word,src={tmp_path / 'secret'}", "-t", "secretive", path)
    assert module_engine.ok("run", "--rm", "secretive", "cat", "/out", "/owner") == "right\n5400"
    assert module_engine.argosy("run", "--rm", "secretive", "ls", "/etc/word").code == 1
    kept = subprocess.run(
        ["grep", "-rlaF", SECRET, str(module_engine.root), str(module_engine.run), module_engine.directory / "log"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert SECRET not in output
    assert SECRET.encode() not in module_engine.argosy_bytes("save", "secretive")
    assert kept.stdout == ""


def test_a_cache_mount_lasts_from_build_to_build(module_engine: LocalEngine, context: Path) -> None:
    mount = f"--mount=type=cache,target=/c,id={os.urandom(4).hex()}"
    for count in (1, 2):
        path = write(context, f"FROM busybox\nRUN {mount} echo x >> /c/log; wc -l < /c/log > /n # {count}\n")
        build(module_engine, "-t", "counted", path)
        assert module_engine.ok("run", "--rm", "counted", "cat", "/n") == str(count)
        assert module_engine.argosy("run", "--rm", "counted", "ls", "/c").code == 1


def test_settings_come_as_build_arguments(module_engine: LocalEngine, context: Path) -> None:
    path = write(
        context,
        "FROM busybox\nARG N\nRUN --mount=type=cache,target=/c hostname > /host; ls /c > /seen; touch /c/$N\n",
    )
    seen = []
    for number, words in enumerate((["one", "a"], ["two", "a"], ["three", "b"])):
        settings = [
            f"BUILDKIT_SANDBOX_HOSTNAME={words[0]}",
            f"BUILDKIT_CACHE_MOUNT_NS={words[1]}",
            f"N={number}",
        ]
        build(
            module_engine, "-t", "set", *(part for each in settings for part in ("--build-arg", each)), path
        )
        seen.append(module_engine.ok("run", "--rm", "set", "cat", "/host", "/seen"))
    assert seen == ["one", "two\n0", "three"]
    module_engine.ok("rmi", "set")


def test_the_dockerfile_or_the_context_comes_on_stdin(module_engine: LocalEngine, context: Path) -> None:
    build(module_engine, "-t", "stdin", "-", stdin=b"FROM busybox\nRUN echo piped > /p\n")
    assert module_engine.ok("run", "--rm", "stdin", "cat", "/p") == "piped"
    path = write(context, "FROM nothing\n", a="from the context")
    build(module_engine, "-t", "stdin", "-f", "-", path, stdin=b"FROM busybox\nCOPY a /a\n")
    assert module_engine.ok("run", "--rm", "stdin", "cat", "/a") == "from the context"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        write(context, "FROM busybox\nCOPY a /b\n")
        archive.add(context, ".")
    build(module_engine, "-t", "stdin", "-", stdin=buffer.getvalue())
    assert module_engine.ok("run", "--rm", "stdin", "cat", "/b") == "from the context"


def test_a_named_context_and_an_image_in_its_place(
    module_engine: LocalEngine, context: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x").write_text("other")
    path = write(context, "FROM base\nCOPY --from=more x /x\n")
    words = ("--build-context", f"more={other}", "--build-context", "base=docker-image://busybox")
    build(module_engine, *words, "-t", "named", path)
    assert module_engine.ok("run", "--rm", "named", "cat", "/x") == "other"


@pytest.fixture
def git_server(tmp_path: Path) -> Iterator[str]:
    """The address of a server for the repositories in `tmp_path`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [f"--base-path={tmp_path}", "--export-all", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr"]
    process = subprocess.Popen(["/usr/lib/git-core/git-daemon", *words])
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.02)
    yield f"git://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def test_a_git_repository_is_a_context(
    module_engine: LocalEngine, context: Path, git_server: str, tmp_path: Path
) -> None:
    (context / "sub").mkdir()
    write(context / "sub", "FROM busybox\nCOPY a /a\n", a="committed")
    git = ["git", "-C", str(context), "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "m"]):
        subprocess.run([*git, *words], check=True)
    (context / "sub/a").write_text("not committed")
    for query in ("#main:sub", "?branch=main&subdir=sub"):
        build(module_engine, "-t", "fromgit", f"{git_server}/context/.git{query}")
    assert module_engine.ok("run", "--rm", "fromgit", "cat", "/a") == "committed"
    assert "git failed" in failure(module_engine, f"{git_server}/context/.git#nosuch")
    write(tmp_path, f"FROM busybox\nADD {git_server}/context/.git#main /r/\n")
    build(module_engine, "-t", "fromgit", "-f", f"{tmp_path}/Dockerfile", str(context))
    assert module_engine.ok("run", "--rm", "fromgit", "cat", "/r/sub/a") == "committed"
    write(context, "FROM busybox\nCOPY . /all\nRUN test -e /all/.git/HEAD\n")
    for words in (["add", "."], ["commit", "-q", "-m", "with another Dockerfile"]):
        subprocess.run([*git, *words], check=True)
    url = f"{git_server}/context/.git"
    assert "exit code: 1" in failure(module_engine, url)
    build(module_engine, "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", url)


def test_outputs_are_a_tree_a_tar_or_an_archive(
    module_engine: LocalEngine, context: Path, tmp_path: Path
) -> None:
    path = write(context, "FROM scratch\nCOPY --chmod=640 a /d/a\n", a="out")
    build(module_engine, "-o", str(tmp_path / "tree"), path)
    assert (tmp_path / "tree/d/a").read_text() == "out"
    assert (tmp_path / "tree/d/a").stat().st_mode & 0o777 == 0o640
    build(module_engine, "-o", f"type=tar,dest={tmp_path}/t.tar", path)
    with tarfile.open(tmp_path / "t.tar") as archive:
        assert {entry.name for entry in archive} == {"d", "d/a"}
    build(module_engine, "-o", f"type=oci,dest={tmp_path}/o.tar", "-t", "only-there:1", path)
    assert module_engine.argosy("image", "inspect", "only-there:1").code == 1
    assert "only-there:1" in module_engine.ok("load", "-i", str(tmp_path / "o.tar"))


def test_ids_and_metadata_are_written(module_engine: LocalEngine, context: Path, tmp_path: Path) -> None:
    path = write(context, "FROM busybox\nLABEL a=b\n")
    words = (
        "--iidfile",
        str(tmp_path / "id"),
        "--metadata-file",
        str(tmp_path / "meta"),
        "-t",
        "one",
        "-t",
        "two:3",
    )
    printed = module_engine.ok("build", "-q", *words, "--label", "x=y", path)
    assert (tmp_path / "id").read_text() == printed
    assert json.loads((tmp_path / "meta").read_text())["containerimage.config.digest"] == printed
    for name in ("one", "two:3"):
        document = json.loads(module_engine.ok("image", "inspect", name))[0]
        assert document["Id"] == printed
        assert document["Config"]["Labels"] == {"a": "b", "x": "y"}


def test_the_same_input_gives_the_same_image(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nWORKDIR /w\nCOPY . .\nRUN echo x > /x && mkdir /d\n", a="1")
    argument = ("--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--no-cache", "-q")
    first = module_engine.ok("build", *argument, path)
    os.utime(context / "a", (1_800_000_000, 1_800_000_000))
    time.sleep(1.1)
    assert module_engine.ok("build", *argument, path) == first
    assert "2023-11-14T22:13:20Z" in module_engine.ok("image", "inspect", first)


def test_checks_find_what_is_likely_wrong(module_engine: LocalEngine, context: Path) -> None:
    answer = module_engine.argosy("build", "--check", write(context, "FROM busybox as x\nCMD echo hi\n"))
    assert answer.code == 1
    assert "JSONArgsRecommended" in answer.stdout
    assert "FromAsCasing" in answer.stdout
    answer = module_engine.argosy("build", "--check", write(context, "FROM busybox\n"))
    assert (answer.code, answer.stdout) == (0, "Check complete, no warnings found.\n")


def test_a_build_without_a_client_ends(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, f"FROM busybox\nRUN sleep 1234 # {os.urandom(4).hex()}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "argosy.cli.main", "build", "--progress", "plain", path],
        env=module_engine.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "RUN sleep" in line:
            break
    time.sleep(0.3)
    assert _sleeps() == 1
    process.kill()
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + 5
    while _sleeps() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _sleeps() == 0


def _sleeps() -> int:
    found = subprocess.run(["pgrep", "-fxc", "sleep 1234"], capture_output=True, text=True, check=False)
    return int(found.stdout)


def test_nothing_of_a_build_is_left(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nRUN --mount=type=bind,target=/c,rw touch /c/x; exit 1\n")
    failure(module_engine, path)
    assert module_engine.ok("ps", "-aq") == ""
    assert not list(module_engine.directory.glob("run/**/build-*"))
    assert not list(Path("/dev/shm").glob("argosy-build-*/*"))
    with open("/proc/self/mountinfo") as table:
        assert str(module_engine.root) not in table.read()


def test_the_cache_is_listed_and_pruned(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, f"FROM busybox\nRUN head -c 100000 /dev/urandom > /x # {os.urandom(4).hex()}\n")
    build(module_engine, "-o", f"type=tar,dest={context}/t.tar", path)
    assert "RUN head" in module_engine.ok("builder", "du")
    assert "Total reclaimed space: 1" in module_engine.ok("builder", "prune", "-f")
    assert "RUN head" not in module_engine.ok("builder", "du")
    build(module_engine, "-q", path)


def test_docker_py_builds(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nARG V\nCOPY a /a\nRUN echo $V > /v\n", a="1")
    client = docker.DockerClient(base_url=module_engine.host)
    try:
        image, log = client.images.build(
            path=path, tag="bypy:1", buildargs={"V": "9"}, rm=True, labels={"l": "m"}
        )
        assert image.labels == {"l": "m"}
        assert any("Step" in entry.get("stream", "") for entry in log)
        assert client.containers.run("bypy:1", "cat /v", remove=True) == b"9\n"
        with pytest.raises(docker.errors.BuildError, match="exit code: 5"):
            client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 5\n"))
    finally:
        client.close()


def test_the_classic_client_builds(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nRUN echo classic > /x\n")
    environment = {**module_engine.environment, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(
        ["docker", "build", "-t", "classic", path],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Successfully tagged classic:latest" in done.stdout
    assert module_engine.ok("run", "--rm", "classic", "cat", "/x") == "classic"


def test_it_explains_what_ran_and_what_would_not_have_to(module_engine: LocalEngine, context: Path) -> None:
    text = "FROM busybox\nCOPY . /all/\nRUN sleep 0.6 # apt-get install\n"
    path = write(context, text, a="1", b="1")
    build(module_engine, path)
    (context / "a").write_text("2")
    output = build(module_engine, "--explain", path)
    assert "because a changed" in output
    assert "because a step before it ran (line 2: COPY . /all/)" in output
    assert "reads none of your files: put it above line 2 (COPY . /all/)" in output


def test_past_builds_are_listed_with_what_they_said(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, f"FROM busybox\nRUN echo said-so && exit 4 # {os.urandom(4).hex()}\n")
    failure(module_engine, "-t", "remembered", path)
    newest = module_engine.ok("builder", "history", "--format", "{{.ID}} {{.Name}} {{.Status}}").splitlines()[
        0
    ]
    identifier, _, rest = newest.partition(" ")
    assert rest == "remembered failed"
    shown = module_engine.ok("builder", "history", identifier)
    assert "| said-so" in shown
    assert "exit code: 4" in shown


def test_a_failed_step_can_be_looked_into(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nWORKDIR /w\nENV V=9\nRUN echo half > made && exit 6\n")
    before = module_engine.ok("images", "-aq").split()
    answer = module_engine.argosy("build", "--debug", path, stdin=b"cat made; echo $V $PWD\nexit\n")
    assert answer.code == 1
    assert "exit code: 6" in answer.stderr
    assert answer.stdout == "half\n9 /w\n"
    assert module_engine.ok("images", "-aq").split() == before
    assert module_engine.ok("ps", "-aq") == ""


def test_a_bad_tag_is_refused_before_anything_runs(module_engine: LocalEngine, context: Path) -> None:
    answer = module_engine.argosy("build", "-t", "Upper:x:y", write(context, "FROM busybox\nRUN true\n"))
    assert answer.code == 1
    assert 'invalid tag "Upper:x:y"' in answer.stderr
    assert "RUN" not in answer.stderr


def test_a_cache_travels_in_a_directory(module_engine: LocalEngine, context: Path, tmp_path: Path) -> None:
    text = f"FROM busybox AS one\nRUN echo {os.urandom(4).hex()} > /o\nFROM busybox\nCOPY --from=one /o /o\n"
    path = write(context, text)
    build(module_engine, "--cache-to", f"type=local,dest={tmp_path}/cache,mode=max", path)
    assert (tmp_path / "cache/index.json").exists()
    module_engine.ok("image", "prune", "-f")
    module_engine.ok("builder", "prune", "-af")
    assert len(cached(build(module_engine, "--cache-from", f"type=local,src={tmp_path}/cache", path))) == 3
    assert "argosy.cache" not in module_engine.ok("images", "--digests")


def test_a_cache_that_cannot_be_had_is_no_reason_against_a_build(
    module_engine: LocalEngine, context: Path, tmp_path: Path
) -> None:
    output = build(
        module_engine, "--cache-from", f"type=local,src={tmp_path}", write(context, "FROM busybox\n")
    )
    assert "importing cache manifest" in output
    assert "ERROR" in output


@pytest.mark.parametrize("way", ["inline", "registry"])
def test_a_cache_travels_by_a_registry(
    module_engine: LocalEngine, context: Path, tmp_path: Path, way: str
) -> None:
    path = write(context, f"FROM busybox\nRUN echo {os.urandom(4).hex()} > /o\nRUN echo two > /t\n")
    with registry_server(tmp_path) as address:
        name = f"{address}/built:1"
        if way == "inline":
            build(module_engine, "--cache-to", "type=inline", "--push", "-t", name, path)
        else:
            build(module_engine, "--cache-to", f"type=registry,ref={name},mode=max", path)
        module_engine.argosy("rmi", name)
        module_engine.ok("image", "prune", "-f")
        module_engine.ok("builder", "prune", "-af")
        assert len(cached(build(module_engine, "--cache-from", name, path))) == 3
        assert address not in module_engine.ok("images")


@pytest.mark.parametrize(
    ("flag", "right"), [("--security=insecure", "security.insecure"), ("--network=host", "network.host")]
)
def test_a_dockerfile_has_no_rights_on_the_host_that_nobody_granted(
    module_engine: LocalEngine, context: Path, flag: str, right: str
) -> None:
    path = write(context, f"FROM busybox\nRUN {flag} echo {os.urandom(4).hex()}\n")
    refused = failure(module_engine, path)
    assert f"{right} is not allowed" in refused and f"--allow {right}" in refused and "   2 | >>> " in refused
    classic = module_engine.environment | {"DOCKER_BUILDKIT": "0"}
    words = [os.environ.get("ARGOSY_ORACLE_CLI") or "docker", "build", path]
    answer = subprocess.run(words, env=classic, capture_output=True, text=True, check=False)
    assert answer.returncode == 1 and f"{right} is not allowed" in answer.stdout + answer.stderr
    build(module_engine, "--allow", right, path)


def test_who_builds_in_the_hosts_network_grants_it(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, f"FROM busybox\nRUN ip -o link > /links; echo {os.urandom(4).hex()}\n")
    build(module_engine, "--network", "host", "-t", "in-host", path)
    links = module_engine.ok("run", "--rm", "in-host", "cat", "/links")
    assert f"{module_engine.name}0" in links
    module_engine.ok("rmi", "in-host")


@pytest.mark.parametrize(
    ("words", "step", "reason"),
    [
        (("--network", "container:none-such"), "true", "none-such"),
        (
            ("--network", "container:sleeper"),
            "true",
            "cannot join network namespace of a non running container",
        ),
        (("--network", "some-bridge"), "true", "network mode"),
        (("--ulimit", "nofile=1000000000:1000000000"), "true", "ulimit"),
        (("--build-arg", f"BUILDKIT_SANDBOX_HOSTNAME={'h' * 65}"), "true", "invalid host name"),
        ((), '[""]', ""),
        ((), '["/no/such/program"]', "no such file or directory"),
    ],
)
def test_a_step_that_cannot_be_set_up_fails_and_says_why(
    module_engine: LocalEngine, context: Path, words: tuple[str, ...], step: str, reason: str
) -> None:
    """It used to hang, for ever and with a thread."""
    if "container:sleeper" in words and module_engine.argosy("inspect", "sleeper").code:
        module_engine.ok("create", "--name", "sleeper", "busybox", "true")
    path = write(context, f"FROM busybox\nENV V={os.urandom(4).hex()}\nRUN {step}\n")
    assert reason in failure(module_engine, *words, path)


def test_a_run_without_words_is_no_step(module_engine: LocalEngine, context: Path) -> None:
    path = write(context, "FROM busybox\nRUN []\nRUN echo made > /made\n")
    output = build(module_engine, "-t", "wordless", path)
    assert "[2/2] RUN echo made" in output
    assert module_engine.ok("run", "--rm", "wordless", "cat", "/made") == "made"


def test_steps_run_in_the_network_of_a_container(module_engine: LocalEngine, context: Path) -> None:
    lender = module_engine.ok("run", "-d", "busybox", "sleep", "1000")
    address = module_engine.ok("inspect", "-f", "{{.NetworkSettings.IPAddress}}", lender)
    path = write(context, f"FROM busybox\nENV V={os.urandom(4).hex()}\nRUN ip addr show eth0 > /seen\n")
    build(module_engine, "--network", f"container:{lender}", "-t", "lent", path)
    assert address in module_engine.ok("run", "--rm", "lent", "cat", "/seen")
    module_engine.ok("rm", "-f", lender)
