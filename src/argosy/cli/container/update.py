"""`argosy update`."""

from __future__ import annotations

from argosy.cli.container.body import restart_policy
from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] CONTAINER [CONTAINER...]",
    "Update the configuration of one or more containers",
    """
      --blkio-weight uint16        Block IO weight, 10 to 1000
      --cpu-period int             CFS period
      --cpu-quota int              CFS quota
      --cpu-rt-period int          Real-time period in microseconds
      --cpu-rt-runtime int         Real-time runtime in microseconds
  -c, --cpu-shares int             Relative weight
      --cpus decimal               CPU time, in CPUs
      --cpuset-cpus string         CPUs it may use: 0-3, 0,1
      --cpuset-mems string         Memory nodes it may use
  -m, --memory bytes               Memory
      --kernel-memory bytes        Accepted for compatibility
      --memory-reservation bytes   Memory to keep to when it is short
      --memory-swap swap           Memory and swap together; -1 for unlimited swap
      --pids-limit int             Processes; -1 for unlimited
      --restart string             When to start it again: no, always, unless-stopped, on-failure[:max]
""",
    arguments=(1, None),
    also="argosy container update, argosy update",
)
_FIELDS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "pids-limit": "PidsLimit",
}


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.client.docker import quote

    if not options.given:
        raise Failure("you must provide one or more flags when using this command")
    failures = []
    warnings: list[str] = []
    body = _body(options)
    for name in arguments:
        try:
            answer = context.client.post(f"/containers/{quote(name)}/update", None, body)
        except APIError as error:
            failures.append(error)
            continue
        print(name)
        warnings += (answer or {}).get("Warnings") or ()
    for warning in warnings:
        print(warning)
    for failure in failures:
        context.report(failure)
    return 1 if failures else 0


def _body(options: Options) -> dict[str, object]:
    body: dict[str, object] = {
        field: options.number(name) for name, field in _FIELDS.items() if name in options.given
    }
    body["CpusetCpus"] = options.text("cpuset-cpus")
    body["CpusetMems"] = options.text("cpuset-mems")
    if options.text("restart"):
        try:
            body["RestartPolicy"] = restart_policy(options.text("restart"))
        except ValueError as error:
            raise Failure(str(error)) from None
    return body
