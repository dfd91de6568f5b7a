"""A container as the engine knows it: what was asked for, and how it is."""

import asyncio
import os
from typing import Any

import msgspec

from argosy.engine import lifecycle
from argosy.engine.lifecycle import Event, Status
from argosy.spec.docker_container import ContainerConfig, EndpointSettings, HostConfig, MountPoint
from argosy.units import NANOSECONDS, human_duration

DEFAULT_STOP_TIMEOUT = 10


class ImageMount(msgspec.Struct):
    """An image at a place in a container; `key` is its snapshot's."""

    target: str
    key: str
    image: str
    chain_id: str


class Spec(msgspec.Struct):
    """What does not change once a container is created, but for its name."""

    id: str
    name: str
    created: int
    image: str
    chain_id: str
    path: str
    args: list[str]
    config: ContainerConfig
    host: HostConfig
    networks: dict[str, EndpointSettings]
    mounts: list[MountPoint]
    # Where in the container a volume takes over what the image has there, as long as it is empty.
    copy_up: list[str] = []
    # Volumes that were made for this container and go with it.
    anonymous: list[str] = []
    images: list[ImageMount] = []


class Attachment(msgspec.Struct):
    """A running container's place in a network. `ports` are (host address, host port, protocol, port)."""

    network: str
    endpoint_id: str
    address: str
    ports: list[tuple[str, int, str, int]] = []


class Check(msgspec.Struct):
    """One health check. Times in Unix nanoseconds; the exit code is -1 if it did not end by itself."""

    start: int
    end: int
    exit_code: int
    output: str = ""


class Health(msgspec.Struct):
    """`of` is the start of the process that it is about."""

    status: str
    failing_streak: int = 0
    log: list[Check] = []
    of: int = 0


class State(msgspec.Struct):
    """Times in Unix nanoseconds, 0 for never."""

    status: Status = Status.CREATED
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: int = 0
    finished_at: int = 0
    restarts: int = 0
    stopped_by_user: bool = False
    attachment: Attachment | None = None
    health: Health | None = None


class Container:
    """Only the event loop's thread touches it. Whoever changes its status holds its `lock`."""

    __slots__ = (
        "_removed",
        "_waiters",
        "execs",
        "last_delay",
        "lock",
        "restart_timer",
        "spec",
        "state",
    )

    def __init__(self, spec: Spec, state: State) -> None:
        self.spec = spec
        self.state = state
        self.lock = asyncio.Lock()
        self.execs: dict[str, Any] = {}
        self.last_delay = 0.0
        self.restart_timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._removed: list[asyncio.Future[None]] = []

    def call_off_restart(self) -> None:
        if self.restart_timer is not None:
            self.restart_timer.cancel()
            self.restart_timer = None

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def status(self) -> Status:
        return self.state.status

    @property
    def terminal(self) -> bool:
        return self.spec.config.tty

    def fire(self, event: Event) -> None:
        self.state.status = lifecycle.after(self.state.status, event)

    def labels(self) -> dict[str, str]:
        return self.spec.config.labels or {}

    def command(self) -> str:
        """As `docker ps` shows it: quoted for the eye, not for a shell."""
        return " ".join([self.spec.path, *(f"'{arg}'" if " " in arg else arg for arg in self.spec.args)])

    def stop_signal(self) -> str:
        signal = self.spec.config.stop_signal
        return signal if isinstance(signal, str) and signal else "SIGTERM"

    def stop_timeout(self) -> int:
        timeout = self.spec.config.stop_timeout
        return timeout if isinstance(timeout, int) else DEFAULT_STOP_TIMEOUT

    def directory(self, containers: str) -> str:
        return os.path.join(containers, self.spec.id)

    def next_exit(self) -> asyncio.Future[None]:
        return self._add(self._waiters)

    def removal(self) -> asyncio.Future[None]:
        return self._add(self._removed)

    @staticmethod
    def _add(waiting: list[asyncio.Future[None]]) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        return future

    def tell_exited(self) -> None:
        self._tell(self._waiters)

    def tell_removed(self) -> None:
        self._tell(self._waiters)
        self._tell(self._removed)

    @staticmethod
    def _tell(waiting: list[asyncio.Future[None]]) -> None:
        for future in waiting:
            if not future.done():
                future.set_result(None)
        waiting.clear()

    def _health_note(self) -> str:
        health = self.state.health
        if health is None:
            return ""
        return f" ({'health: ' if health.status == 'starting' else ''}{health.status})"

    def describe_status(self, now: int) -> str:
        """The STATUS column: `Up 5 minutes`, `Exited (0) 2 hours ago`."""
        state = self.state
        up = human_duration(max(0, now - state.started_at) / NANOSECONDS)
        ago = human_duration(max(0, now - state.finished_at) / NANOSECONDS)
        match state.status:
            case Status.RUNNING:
                return f"Up {up}{self._health_note()}"
            case Status.PAUSED:
                return f"Up {up} (Paused)"
            case Status.RESTARTING:
                return f"Restarting ({state.exit_code}) {ago} ago"
            case Status.REMOVING:
                return "Removal In Progress"
            case Status.CREATED:
                return "Created"
            case Status.EXITED:
                return f"Exited ({state.exit_code}) {ago} ago" if state.finished_at else "Created"
