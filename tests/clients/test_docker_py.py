"""docker-py, as programs use it."""

import io
import tarfile
from collections.abc import Iterator

import docker
import docker.errors
import pytest

from engine_fixture import LocalEngine


@pytest.fixture
def client(engine: LocalEngine) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(base_url=engine.host)
    yield client
    client.close()


def test_run_returns_output_and_raises_on_failure(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as caught:
        client.containers.run("busybox", ["sh", "-c", "exit 3"], remove=True)
    assert caught.value.exit_status == 3


def test_a_container_by_its_object(client: docker.DockerClient) -> None:
    container = client.containers.run(
        "busybox",
        "sleep 1000",
        detach=True,
        name="py",
        ports={"80/tcp": None},
        labels={"a": "b"},
        mem_limit="64m",
    )
    assert container.status == "created"
    container.reload()
    assert container.status == "running"
    assert int(container.ports["80/tcp"][0]["HostPort"]) > 0
    code, output = container.exec_run(["sh", "-c", "echo inside; exit 5"])
    assert (code, output) == (5, b"inside\n")
    streams = container.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True)
    assert streams.output == (b"o\n", b"e\n")
    container.stop(timeout=0)
    assert container.wait()["StatusCode"] == 137
    container.remove()
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("py")


def test_attaching_a_socket_talks_both_ways(client: docker.DockerClient) -> None:
    container = client.containers.create("busybox", "cat", stdin_open=True)
    socket = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    socket._sock.send(b"ping\n")
    header = socket.read(8)
    assert header[0] == 1
    assert socket.read(int.from_bytes(header[4:], "big")) == b"ping\n"
    socket._sock.close()
    socket.close()
    container.remove(force=True)


def test_logs_follow(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", ["sh", "-c", "echo 1; sleep 0.2; echo 2"], detach=True)
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n"


def test_images_and_volumes(client: docker.DockerClient) -> None:
    image = client.images.get("busybox")
    assert image.tag("copied", "v1")
    assert "copied:v1" in [tag for found in client.images.list() for tag in found.tags]
    saved = io.BytesIO(b"".join(image.save(named=True)))
    assert "manifest.json" in tarfile.open(fileobj=saved).getnames()
    client.images.remove("copied:v1")
    saved.seek(0)
    assert client.images.load(saved.getvalue())[0].id == image.id
    volume = client.volumes.create("pyvolume", labels={"x": "y"})
    assert client.volumes.get("pyvolume").attrs["Labels"] == {"x": "y"}
    volume.remove()


def test_files_come_and_go(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", "sleep 1000", detach=True)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as made:
        entry = tarfile.TarInfo("made")
        entry.size, entry.mode = 4, 0o4711
        made.addfile(entry, io.BytesIO(b"text"))
    assert container.put_archive("/tmp", archive.getvalue())
    pieces, found = container.get_archive("/tmp/made")
    assert (found["name"], found["size"], found["mode"]) == ("made", 4, 1 << 23 | 0o711)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as read:
        assert read.getmember("made").mode == 0o4711
    with pytest.raises(docker.errors.NotFound, match="Could not find the file /none"):
        container.get_archive("/none")
    assert {"Path": "/tmp/made", "Kind": 1} in container.diff()
    image = container.commit("committed", "1", message="why", conf={"Env": ["A=b"]}, changes=["USER 5"])
    assert image.tags == ["committed:1"]
    assert (image.attrs["Config"]["User"], image.attrs["Config"]["Env"][0]) == ("5", "A=b")
    assert client.containers.run("committed:1", "cat /tmp/made", user="0", remove=True) == b"text"
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as whole:
        assert whole.getmember("tmp/made").size == 4
    client.images.remove("committed:1")


def test_use_is_measured(client: docker.DockerClient) -> None:
    container = client.containers.run("busybox", "sleep 1000", detach=True, mem_limit="64m")
    once = container.stats(stream=False)
    assert once["memory_stats"]["limit"] == 64 << 20
    assert once["pids_stats"]["current"] == 1
    assert once["precpu_stats"]["system_cpu_usage"] < once["cpu_stats"]["system_cpu_usage"]
    stream = container.stats(decode=True)
    first, second = next(stream), next(stream)
    assert first["read"] == second["preread"]
    assert set(second["networks"]) == {"eth0"}
    stream.close()
    container.stop(timeout=0)
    assert "system_cpu_usage" not in container.stats(stream=False)["cpu_stats"]


def test_version_info_and_events(client: docker.DockerClient) -> None:
    assert client.ping()
    assert client.version()["ApiVersion"] == "1.51"
    assert client.info()["OSType"] == "linux"
    events = client.events(decode=True, filters={"type": "container"})
    client.containers.run("busybox", "true", remove=True)
    assert next(events)["Action"] == "create"
    events.close()
