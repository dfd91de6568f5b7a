"""What Compose needs of an engine to build and start services: its current version, from PyPI."""

import subprocess
import sys
from pathlib import Path

import pytest

from docker_plugins import write_config
from engine_fixture import Answer, LocalEngine

_SERVICES = """
services:
  api:
    build:
      context: ./api
      target: final
      args: {WHO: compose}
      secrets: [token]
      additional_contexts: {shared: ./shared, page: "service:web"}
      cache_from: ["localhost:1/none"]
      labels: {b: "1", a: "2", c: "3"}
      extra_hosts: ["far:10.0.0.1"]
    network_mode: none
    depends_on: [web]
    command: cat /out
  web:
    build:
      context: ./web
      dockerfile_inline: |
        FROM busybox
        COPY page /page
    image: composed-web:1
    network_mode: bridge
    command: sleep 60
    stop_grace_period: 0s
secrets:
  token: {file: ./token}
"""
_DOCKERFILE = """FROM busybox AS base
ARG WHO
COPY --from=shared f /f
COPY --from=page /page /page
RUN --mount=type=secret,id=token test -s /run/secrets/token && grep -q far /etc/hosts && cat /f /page > /out
RUN echo $WHO >> /out
FROM base AS final
FROM base AS other
RUN false
"""


class Compose:
    def __init__(self, engine: LocalEngine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory

    def __call__(self, *words: str) -> Answer:
        program = Path(sys.executable).parent / "docker-compose"
        done = subprocess.run(
            [program, "--progress=plain", *words],
            cwd=self._directory,
            env=self._engine.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str) -> Answer:
        answer = self(*words)
        assert answer.code == 0, answer.stderr + answer.stdout
        return answer


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("api", "web", "shared"):
        (tmp_path / name).mkdir()
    (tmp_path / "compose.yaml").write_text(_SERVICES)
    (tmp_path / "api/Dockerfile").write_text(_DOCKERFILE)
    (tmp_path / "shared/f").write_text("shared\n")
    (tmp_path / "web/page").write_text("page\n")
    (tmp_path / "token").write_text("sesame")
    return tmp_path


@pytest.fixture
def compose(module_engine: LocalEngine, project: Path) -> Compose:
    write_config(Path(module_engine.environment["DOCKER_CONFIG"]))
    return Compose(module_engine, project)


def test_services_are_built_and_started(compose: Compose, module_engine: LocalEngine, project: Path) -> None:
    try:
        compose.ok("up", "-d", "--build")
        compose.ok("wait", "api")
        assert compose.ok("logs", "--no-log-prefix", "api").stdout == "shared\npage\ncompose\n"
        (project / "web/page").write_text("another page\n")
        compose.ok("up", "-d", "--build")
        assert compose.ok("exec", "-T", "web", "cat", "/page").stdout == "another page\n"
    finally:
        compose.ok("down", "-t", "0", "--rmi", "all")
    assert "composed-web" not in module_engine.ok("images")


def test_building_again_gives_the_same_images(compose: Compose, module_engine: LocalEngine) -> None:
    found = []
    for _ in range(3):
        compose.ok("build")
        found.append(module_engine.ok("images", "-a", "--no-trunc", "--format", "{{.Repository}} {{.ID}}"))
    assert "composed-web" in found[0]
    assert found[0] == found[1] == found[2]
    compose.ok("down", "--rmi", "all")


def test_a_service_that_cannot_be_built_says_why(compose: Compose, project: Path) -> None:
    (project / "compose.yaml").write_text(_SERVICES.replace("target: final", "target: other"))
    answer = compose("build", "api")
    assert answer.code != 0
    assert 'process "/bin/sh -c false" did not complete successfully' in answer.stderr + answer.stdout
