"""The docker CLI's plugins, buildx and Compose, for clients in tests."""

import json
import shutil
from pathlib import Path

_PLUGINS = "../libexec/docker/cli-plugins"


def write_config(directory: Path) -> None:
    """A configuration directory of the CLI's, with its plugins."""
    docker = shutil.which("docker")
    assert docker, "these tests need the docker CLI"
    plugins = (Path(docker).resolve().parent / _PLUGINS).resolve()
    assert (plugins / "docker-buildx").exists(), f"there is no buildx in {plugins}"
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(plugins)]}))
