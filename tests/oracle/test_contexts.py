"""Contexts made, changed and used by Docker's client and by ours, which read and write the same files."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from engine_fixture import LocalEngine
from registry_fixture import make_certificates

from .conftest import Oracle

pytestmark = pytest.mark.oracle

_HERE = "unix:///var/run/docker.sock"
_OURS = [sys.executable, "-m", "argosy.cli.main"]
_SCRIPTS = {
    "made": """
        docker context ls; docker context show; docker context inspect
        docker context create one --docker host=unix:///none --description 'some text'; echo $?
        docker context create tls --docker host=tcp://h:9,ca=ca.crt,cert=client.cert,key=client.key
        for name in one default 'a b' x /y; do docker context create "$name"; echo $?; done
        for pairs in foo foo=bar '' host=1.2.3.4 host=tcp://a,skip-tls-verify=maybe ca=/nope from=nope; do
            docker context create bad --docker "$pairs"; echo $?
        done
        docker context create bad --from nope; docker context create bad --from one --docker host=tcp://x
        docker context create n2 --from tls; docker context create n10 --from one --description new
        docker context create copy --from default; docker context create n3 --docker from=one
        docker context create empty --docker host=; docker context create skip --docker skip-tls-verify=1
        docker context ls; docker context ls -q; docker context ls --format json
        docker context ls --format '{{.Name}} {{.Current}} {{.Error}}'; docker context ls --format '{{.Nope}}'
        docker context inspect one tls n2 n3 n10 copy empty skip nope; echo $?
        docker context inspect --format json one; docker context inspect -f '{{.Name}}' one n10
    """,
    "used": """
        docker context create one --docker host=unix:///none; docker context create two --docker host=tcp://h:1
        docker context use one; docker context show; docker context ls; cat $DOCKER_CONFIG/config.json
        docker context use nope; echo $?; docker version --format '{{.Client.Context}}'
        DOCKER_HOST=unix:///else docker context use two; DOCKER_HOST=unix:///else docker context ls
        DOCKER_HOST=unix:///else DOCKER_CONTEXT=one docker context show; DOCKER_CONTEXT=one docker context show
        DOCKER_CONTEXT=gone docker context ls -q; DOCKER_CONTEXT=gone docker ps; echo $?
        docker -c one context show; docker -c one -H unix:///x ps; echo $?; docker --context gone ps; echo $?
        docker -c one ps; echo $?; docker -H unix:///other context inspect | grep Host; docker -c one context use two
        docker context rm two nope default one; echo $?; docker context rm -f two; docker context show
        cat $DOCKER_CONFIG/config.json
        docker --tls -H tcp://127.0.0.1:9 ps; docker --tls --tlscacert /nope -H tcp://127.0.0.1:9 ps; echo $?
        docker --tlsverify --tlscacert ca.crt --tlskey /nope -H tcp://127.0.0.1:9 ps
        cp ca.crt ca.pem; DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$PWD docker -H tcp://127.0.0.1:9 context inspect
    """,
    "changed": """
        docker context create one --docker host=unix:///none; docker context create two --docker host=tcp://h:1
        docker context update one --description changed; docker context inspect one
        docker context update two --docker host=tcp://h:2,ca=ca.crt,skip-tls-verify=true; docker context inspect two
        docker context update two --docker host=tcp://h:3; docker context inspect two; docker context update two
        docker context update nope; docker context update default; docker context update one --docker nope=x; echo $?
    """,
    "passed on": """
        docker context create one --docker host=tcp://h:9,ca=ca.crt,cert=client.cert,key=client.key --description d
        docker context export one; docker context export one; echo $?; docker context export nope
        # Docker's has no end.
        tar -tf one.dockercontext 2>/dev/null; tar -xOf one.dockercontext meta.json 2>/dev/null; echo; docker context export default d.tar
        docker context export one - | docker context import again -; docker context import back one.dockercontext
        docker context import back one.dockercontext; docker context inspect back again
        docker context import junk ca.crt; docker context import none /nope; docker context import x d.tar; echo $?
        docker context import; docker context export; docker context ls x; docker context rm; docker context create
        find $DOCKER_CONFIG/contexts -type f -printf '%m %P\\n' | sort; cat $DOCKER_CONFIG/contexts/meta/*/meta.json
        find $DOCKER_CONFIG/contexts -type d -printf '%m %P\\n' | sort
    """,
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


def _printed(script: str, command: list[str], place: Path, certificates: Path) -> str:
    shutil.copytree(certificates, place)
    (place / "config").mkdir()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "ARGOSY_"))}
    done = subprocess.run(
        ["sh", "-c", f'exec 2>&1\ndocker() {{ {shlex.join(command)} "$@"; }}\n{script}'],
        env={**kept, "DOCKER_CONFIG": str(place / "config")},
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    # JSON may spell these signs either way, and an archive's folders end in a slash or not.
    text = done.stdout.replace("\\u003c", "<").replace("\\u003e", ">").replace("tls/\n", "tls\n")
    text = text.replace(f"{place}/", "").replace("argosy", "docker").replace("docker/\n", "docker\n")
    return "\n".join(
        " ".join(line.split()) for line in text.replace("/run/docker/docker.sock", _HERE[7:]).splitlines()
    )


@pytest.mark.parametrize("what", _SCRIPTS)
def test_contexts_are_what_they_are_with_docker(
    oracle: Oracle, certificates: Path, tmp_path: Path, what: str
) -> None:
    theirs = _printed(_SCRIPTS[what], [oracle.command], tmp_path / "theirs", certificates)
    ours = _printed(_SCRIPTS[what], _OURS, tmp_path / "ours", certificates)
    assert ours == theirs


@contextmanager
def _behind_tls(engine: LocalEngine, certificates: Path) -> Iterator[str]:
    """An address where the engine is spoken to by those who show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=_relay, args=(context, connection, engine.host), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def _relay(context: ssl.SSLContext, connection: socket.socket, host: str) -> None:
    """The end of what the client sends is passed on, and what comes after it goes back."""
    client = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    try:
        client.do_handshake()
    except OSError:
        # Closed with its words unread, the client would be told of a reset and not of the reason.
        with client, suppress(OSError):
            client.shutdown(socket.SHUT_WR)
            while client.recv(16384):
                continue
        return
    with client, socket.socket(socket.AF_UNIX) as engine:
        engine.connect(host.removeprefix("unix://"))
        listening: list[socket.socket] = [client, engine]
        while True:
            ready = select.select(listening, [], [])[0]
            if engine in ready:
                data = engine.recv(16384)
                if not data:
                    with suppress(OSError):
                        client.settimeout(1)
                        client.unwrap()
                    return
                client.sendall(data)
            if client in ready:
                data = client.recv(16384)
                engine.sendall(data)
                if not data:
                    engine.shutdown(socket.SHUT_WR)
                    listening.remove(client)


def test_a_context_of_either_client_leads_the_other_through_tls(
    oracle: Oracle, shared_engine: LocalEngine, certificates: Path, tmp_path: Path
) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "ARGOSY_"))}
    environment = {**kept, "DOCKER_CONFIG": str(tmp_path)}

    def run(command: list[str], *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*command, *words], env=environment, input=stdin, capture_output=True, check=False, timeout=60
        )

    docker = [oracle.command]
    files = [f"{key}={certificates / name}" for key, name in (("cert", "client.cert"), ("key", "client.key"))]
    data = os.urandom(100_000)
    with _behind_tls(shared_engine, certificates) as address:
        endpoint = ",".join([f"host={address}", f"ca={certificates / 'ca.crt'}", *files])
        for maker, user in ((docker, _OURS), (_OURS, docker)):
            name = "made-by-" + ("docker" if maker == docker else "us")
            assert run(maker, "context", "create", name, "--docker", endpoint).returncode == 0
            assert run(maker, "context", "use", name).returncode == 0
            assert run(user, "images", "-q", "busybox").stdout
            echo = run(user, "run", "-i", "--rm", "--network", "none", "busybox", "cat", stdin=data)
            assert (echo.returncode, echo.stdout, echo.stderr) == (0, data, b"")
        flags = [f"--tls{key.replace('=', '=', 1)}" for key in files]
        verified = ["--tlsverify", f"--tlscacert={certificates / 'ca.crt'}", *flags, "-H", address]
        assert run(_OURS, *verified, "images", "-q", "busybox").stdout
        unknown = run(
            _OURS, "--tlsverify", f"--tlscacert={certificates / 'client.cert'}", *flags, "-H", address, "ps"
        )
        assert b"tls: failed to verify certificate: " in unknown.stderr
        nobody = run(_OURS, "--tlsverify", f"--tlscacert={certificates / 'ca.crt'}", "-H", address, "ps")
        assert b"error during connect: " in nobody.stderr
        assert b"certificate required" in nobody.stderr
