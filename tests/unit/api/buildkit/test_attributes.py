import pytest

from argosy.api.buildkit.attributes import wanted
from argosy.errors import ArgosyError


def test_what_buildx_sends_is_understood() -> None:
    found = wanted(
        {
            "filename": "Dockerfile.dev",
            "target": "last",
            "build-arg:A": "1",
            "label:b": "2",
            "add-hosts": "h=1.2.3.4,six=::1",
            "shm-size": "67108864",
            "ulimit": "nofile=10:20,nproc=3",
            "force-network-mode": "none",
            "image-resolve-mode": "pull",
            "platform": "linux/amd64",
            "context:img": "docker-image://busybox",
            "context:dir": "local:dir",
            "cache-imports": '[{"Type":"registry","Attrs":{"ref":"r/x"}}]',
        }
    )
    options = found.options
    assert (found.filename, options.target, found.pull) == ("Dockerfile.dev", "last", True)
    assert (options.build_args, options.labels) == ({"A": "1"}, {"b": "2"})
    assert list(options.hosts) == ["h:1.2.3.4", "six:::1"]
    assert (options.shm_size, list(options.ulimits)) == (67108864, ["nofile=10:20", "nproc=3"])
    assert options.network == "none"
    assert list(options.contexts) == ["dir"]
    assert found.cache_imports == [("r/x", True)]
    assert found.unknown == []


def test_no_cache_is_for_all_or_for_some_stages() -> None:
    assert wanted({"no-cache": ""}).options.no_cache
    some = wanted({"no-cache": "one,two"}).options
    assert (some.no_cache, list(some.no_cache_filter)) == (False, ["one", "two"])
    assert not wanted({}).options.no_cache


def test_a_context_for_the_platform_wins() -> None:
    given = {
        "platform": "linux/arm64",
        "context:x": "docker-image://any",
        "context:x::linux/arm64": "docker-image://arm",
        "context:x::linux/amd64": "docker-image://amd",
    }
    assert wanted(given).contexts == {"x": "docker-image://arm"}


def test_the_dockerfile_is_with_a_remote_context_unless_it_is_said_otherwise() -> None:
    url = {"context": "https://example.com/x.git"}
    assert not wanted(url).dockerfile_is_local
    assert wanted({**url, "dockerfilekey": "dockerfile"}).dockerfile_is_local
    assert wanted({}).dockerfile_is_local


@pytest.mark.parametrize(
    "given",
    [
        {"platform": "linux/amd64,not/a/valid/platform"},
        {"attest:provenance": "mode=most"},
        {"attest:sbom": "generator=image"},
        {"cgroup-parent": "/x"},
        {"force-network-mode": "bridge"},
        {"shm-size": "much"},
        {"add-hosts": "nothing"},
        {"cache-imports": "{"},
    ],
)
def test_what_cannot_be_done_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ArgosyError):
        wanted(given)


def test_what_is_not_known_is_named() -> None:
    assert wanted({"device": "x", "frontend.caps": "y"}).unknown == ["device"]


def test_attestations_and_several_platforms_are_taken() -> None:
    found = wanted(
        {"attest:provenance": "mode=max,version=v1", "platform": "linux/amd64,linux/arm64,linux/amd64"}
    )
    assert found.attest.is_full and found.attest.version == "v1" and not found.attest.sbom
    assert found.platforms == ["linux/amd64", "linux/arm64"]
    assert wanted({"platform": "linux/arm64"}).platforms == ()
