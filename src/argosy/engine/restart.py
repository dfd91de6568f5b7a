"""When a container that has exited is started again. Pure."""

from argosy.engine.lifecycle import Status
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import RestartPolicy

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 60.0
# A container that ran this long has recovered: the next delay is the first again.
_RECOVERED_AFTER = 10.0


def check(policy: RestartPolicy) -> None:
    """Raises InvalidParameter in Docker's words."""
    if policy.name not in ("", "no", "always", "on-failure", "unless-stopped"):
        raise InvalidParameter(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', "
            "'on-failure', or 'unless-stopped'"
        )
    if policy.maximum_retry_count < 0:
        raise InvalidParameter("invalid restart policy: maximum retry count cannot be negative")
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise InvalidParameter(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )


def delay_before_restart(
    policy: RestartPolicy,
    *,
    exit_code: int,
    restarts: int,
    stopped_by_user: bool,
    last_delay: float,
    ran: float,
) -> float | None:
    """Seconds to wait, or None when it stays down. `last_delay` is 0 the first time; `ran` in seconds."""
    if stopped_by_user:
        return None
    if policy.name == "on-failure":
        if exit_code == 0 or (policy.maximum_retry_count and restarts >= policy.maximum_retry_count):
            return None
    elif policy.name not in ("always", "unless-stopped"):
        return None
    if not last_delay or ran >= _RECOVERED_AFTER:
        return _FIRST_DELAY
    return min(last_delay * 2, _LONGEST_DELAY)


def starts_with_engine(policy: RestartPolicy, *, status: Status, stopped_by_user: bool) -> bool:
    """Whether a container that is down is started when the engine comes up."""
    if policy.name == "always":
        return status != Status.CREATED
    return policy.name == "unless-stopped" and status != Status.CREATED and not stopped_by_user
