"""A RUN step as a build hands it to whoever runs processes."""

import msgspec


class StepMount(msgspec.Struct, frozen=True):
    """`type`: bind (of `source`, a path of the host), snapshot (of the active snapshot `source`) or tmpfs.

    `subpath` is resolved inside the source. `size` in bytes, 0 for no limit.
    """

    type: str
    target: str
    source: str = ""
    subpath: str = ""
    read_only: bool = False
    size: int = 0


class BuildStep(msgspec.Struct, frozen=True):
    """`snapshot` is the key of the active snapshot that is its root. `network`: default, none or host."""

    id: str
    snapshot: str
    arguments: list[str]
    environment: list[str]
    workdir: str
    user: str
    mounts: list[StepMount]
    network: str = "default"
    insecure: bool = False
    hosts: list[str] = []
    shm_size: int = 0
    # name=soft:hard
    ulimits: list[str] = []
    hostname: str = ""
