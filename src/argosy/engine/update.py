"""Changing the limits and the restart policy of a container, running or not."""

import msgspec

from argosy.engine import limits, oci, restart
from argosy.engine.container import Container
from argosy.engine.core import Engine
from argosy.engine.lifecycle import Status
from argosy.engine.stop import cgroup_path
from argosy.errors import ArgosyError, Conflict, InvalidParameter
from argosy.linux import cgroup
from argosy.spec.docker_container import HostConfig, UpdateRequest

_LIMITS = tuple(name for name in UpdateRequest.__struct_fields__ if name != "restart_policy")


async def update(engine: Engine, container: Container, request: UpdateRequest) -> list[str]:
    """Warnings. Zero and empty leave a limit as it is. Raises InvalidParameter, Conflict."""
    async with container.lock:
        if container.status == Status.REMOVING:
            raise Conflict(f"container {container.id} is marked for removal and cannot be updated")
        old = container.spec.host
        changes = {name: getattr(request, name) for name in _LIMITS if getattr(request, name)}
        alone = msgspec.structs.replace(HostConfig(), **changes)
        # Swap may be changed alone here: the memory's limit is set already.
        alone.memory = alone.memory or (old.memory if alone.memory_swap > 0 else 0)
        warnings = limits.check(alone)
        changes = {name: value for name, value in changes.items() if getattr(alone, name)}
        try:
            _check_together(old, changes)
        except Conflict as error:
            raise Conflict(f"Cannot update container {container.id}: {error.message}") from None
        policy = request.restart_policy
        if policy is not None and policy.name:
            restart.check(policy)
            if old.auto_remove and policy.name != "no":
                raise InvalidParameter(
                    "Restart policy cannot be updated because AutoRemove is enabled for the container"
                )
            changes["restart_policy"] = policy
        new = msgspec.structs.replace(old, **changes)
        if container.status.is_alive():
            group = cgroup.group(cgroup_path(engine, container))
            try:
                await engine.in_thread(group.update, _resources(new))
            except OSError as error:
                raise ArgosyError(f"Cannot update container {container.id}: {error.strerror}") from None
        container.spec.host = new
        await engine.containers.save_spec(container)
    engine.container_event(container, "update")
    return warnings


def _check_together(old: HostConfig, changes: dict[str, object]) -> None:
    """What fits alone may not fit what is set already."""
    memory = changes.get("memory")
    swap = changes.get("memory_swap") or old.memory_swap
    if isinstance(memory, int) and isinstance(swap, int) and 0 < swap < memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the "
            "same time"
        )
    if changes.get("nano_cpus") and (old.cpu_quota or old.cpu_period):
        what = "Period" if old.cpu_period else "Quota"
        raise Conflict(f"Conflicting options: Nano CPUs cannot be updated as CPU {what} has already been set")
    for name, what in (("cpu_period", "Period"), ("cpu_quota", "Quota")):
        if changes.get(name) and old.nano_cpus:
            raise Conflict(
                f"Conflicting options: CPU {what} cannot be updated as NanoCPUs has already been set"
            )


def _resources(host: HostConfig) -> dict[str, object]:
    resources = oci.resources(host)
    # Those are set once and for all.
    resources.pop("devices", None)
    resources.pop("blockIO", None)
    if host.pids_limit is not None and host.pids_limit <= 0:
        resources["pids"] = {"limit": -1}
    return resources
