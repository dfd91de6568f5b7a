"""AppArmor, where the host's kernel has it: which profile confines a container.

Containers are confined by `docker-default` unless they are privileged or ask for another. A Docker on the
same host may have loaded it already, else the engine does when it starts, by the host's apparmor_parser(8).
A profile that is asked for and not there is refused: who asks for confinement must not go without.
"""

import logging
import os
import shutil
import subprocess

from argosy.engine.security import security
from argosy.errors import InvalidParameter
from argosy.spec.docker_container import HostConfig

log = logging.getLogger("argosy")
DEFAULT = "docker-default"
UNCONFINED = "unconfined"
_PATIENCE = 30

# What Docker's profile of this name allows and denies: files, capabilities and the network are left to the
# other walls; the kernel's settings and what is in /proc beside the container's own processes are not.
_POLICY = f"""
abi <abi/3.0>,
include <tunables/global>

profile {DEFAULT} flags=(attach_disconnected,mediate_deleted) {{
  include <abstractions/base>

  network,
  capability,
  file,
  umount,

  signal (receive) peer=unconfined,
  signal (send,receive) peer={DEFAULT},
  ptrace (trace,read,tracedby,readby) peer={DEFAULT},

  deny @{{PROC}}/* w,
  deny @{{PROC}}/{{[^1-9],[^1-9][^0-9],[^1-9s][^0-9y][^0-9s],[^1-9][^0-9][^0-9][^0-9/]*}}/** w,
  deny @{{PROC}}/sys/[^k]** w,
  deny @{{PROC}}/sys/kernel/{{?,??,[^s][^h][^m]**}} w,
  deny @{{PROC}}/sysrq-trigger rwklx,
  deny @{{PROC}}/kcore rwklx,

  deny mount,

  deny /sys/[^f]*/** wklx,
  deny /sys/f[^s]*/** wklx,
  deny /sys/fs/[^c]*/** wklx,
  deny /sys/fs/c[^g]*/** wklx,
  deny /sys/fs/cg[^r]*/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


class AppArmor:
    """`module` says whether the kernel has it on, `filesystem` which profiles are loaded."""

    def __init__(
        self,
        module: str = "/sys/module/apparmor/parameters/enabled",
        filesystem: str = "/sys/kernel/security/apparmor",
        parser: str = "apparmor_parser",
    ) -> None:
        self._profiles = os.path.join(filesystem, "profiles")
        self._parser = parser
        self.is_enabled = _says_yes(module) and os.path.isdir(filesystem)
        # Of containers that do not say how they are confined.
        self._default = ""

    def prepare(self) -> None:
        """See to the default profile. Blocks."""
        if not self.is_enabled:
            return
        if DEFAULT not in self._loaded():
            self._load()
        if DEFAULT in self._loaded():
            self._default = DEFAULT
        else:
            log.warning(
                "AppArmor is on, but its profile %s is not loaded and %s could not load it: containers are "
                "not confined by it; apt install apparmor, and start argosyd again",
                DEFAULT,
                self._parser,
            )

    def profile(self, host: HostConfig) -> str:
        """The container's, or "" for none. Raises InvalidParameter for one that cannot be had."""
        asked = security(host).apparmor
        if not self.is_enabled:
            if asked not in ("", UNCONFINED):
                raise InvalidParameter(
                    f"apparmor profile {asked} cannot be applied: AppArmor is not on in this host's kernel",
                    hint="Leave the option away, or boot the host with apparmor=1 security=apparmor.",
                )
            return ""
        if not asked:
            return UNCONFINED if host.privileged else self._default
        if asked != UNCONFINED and asked not in self._loaded():
            raise InvalidParameter(
                f"unable to apply apparmor profile: {asked} is not loaded",
                hint="Load it: apparmor_parser -r FILE; aa-status lists those that are.",
            )
        return asked

    def applied(self, host: HostConfig) -> str:
        """As `profile`, for show: what has been unloaded since was applied all the same."""
        return (security(host).apparmor or self.profile(host)) if self.is_enabled else ""

    def _loaded(self) -> set[str]:
        """The lines are `NAME (MODE)`."""
        try:
            with open(self._profiles, encoding="utf-8", errors="replace") as file:
                return {line.rpartition(" (")[0] for line in file}
        except OSError as error:
            log.warning("AppArmor does not say which profiles are loaded: %s", error)
            return set()

    def _load(self) -> None:
        parser = shutil.which(self._parser, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if parser is None:
            return
        try:
            done = subprocess.run(
                [parser, "--replace", "--skip-cache"],
                input=_POLICY,
                text=True,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("%s: %s", parser, error)
            return
        if done.returncode:
            log.warning("%s: %s", parser, done.stderr.strip())


def _says_yes(path: str) -> bool:
    try:
        with open(path) as file:
            return file.read(1) == "Y"
    except OSError:
        return False
