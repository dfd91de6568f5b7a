"""Every state that a container can be in, and every way from one to another."""

from enum import StrEnum


class Status(StrEnum):
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"

    def is_alive(self) -> bool:
        """Whether it has a process."""
        return self in (Status.RUNNING, Status.PAUSED)

    def is_running(self) -> bool:
        """What the API calls Running: it has a process, or will have one again by itself."""
        return self in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)

    def can_start(self) -> bool:
        return (self, Event.START) in TRANSITIONS


class Event(StrEnum):
    START = "start"
    FAIL = "fail"
    EXIT = "exit"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    WAIT_TO_RESTART = "wait to restart"
    GIVE_UP = "give up"
    REMOVE = "remove"


TRANSITIONS: dict[tuple[Status, Event], Status] = {
    (Status.CREATED, Event.START): Status.RUNNING,
    (Status.CREATED, Event.FAIL): Status.CREATED,
    (Status.CREATED, Event.REMOVE): Status.REMOVING,
    (Status.RUNNING, Event.EXIT): Status.EXITED,
    (Status.RUNNING, Event.PAUSE): Status.PAUSED,
    (Status.PAUSED, Event.UNPAUSE): Status.RUNNING,
    (Status.PAUSED, Event.EXIT): Status.EXITED,
    (Status.EXITED, Event.START): Status.RUNNING,
    (Status.EXITED, Event.FAIL): Status.EXITED,
    (Status.EXITED, Event.WAIT_TO_RESTART): Status.RESTARTING,
    (Status.EXITED, Event.REMOVE): Status.REMOVING,
    (Status.RESTARTING, Event.START): Status.RUNNING,
    (Status.RESTARTING, Event.FAIL): Status.EXITED,
    (Status.RESTARTING, Event.GIVE_UP): Status.EXITED,
    (Status.RESTARTING, Event.REMOVE): Status.REMOVING,
    (Status.REMOVING, Event.REMOVE): Status.REMOVING,
}


def after(status: Status, event: Event) -> Status:
    """Raises ValueError for a way that does not exist: a defect, not a user's mistake."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise ValueError(f"a container that is {status} cannot {event}") from None
