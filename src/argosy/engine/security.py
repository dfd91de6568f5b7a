"""The options of `--security-opt`, as moby's `parseSecurityOpt` reads them."""

from __future__ import annotations

from typing import NamedTuple

from argosy.errors import InvalidParameter
from argosy.spec.docker_container import HostConfig

# Go's strconv.ParseBool.
_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
_BOOLEANS.update(dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False))


class Security(NamedTuple):
    """`seccomp` is "" for the default policy, "unconfined", "builtin" or a profile's JSON; the control
    groups are `writable_cgroups`, or as the container's privileges have it; `apparmor` is "" for the default
    profile."""

    no_new_privileges: bool = False
    writable_cgroups: bool | None = None
    seccomp: str = ""
    apparmor: str = ""


def security(host: HostConfig) -> Security:
    """Labels are let pass, as by a dockerd that was not started with --selinux-enabled.
    Raises InvalidParameter."""
    found = Security()
    for option in host.security_opt or []:
        if option == "no-new-privileges":
            found = found._replace(no_new_privileges=True)
            continue
        name, separator, value = option.partition("=" if "=" in option else ":")
        if option != "disable" and not separator:
            raise InvalidParameter(f'invalid --security-opt 1: "{option}"')
        if name == "seccomp":
            found = found._replace(seccomp=value)
        elif name == "no-new-privileges":
            found = found._replace(no_new_privileges=_boolean(option, value))
        elif name == "writable-cgroups":
            found = found._replace(writable_cgroups=_boolean(option, value))
        elif name == "apparmor":
            found = found._replace(apparmor=value)
        elif name not in ("disable", "label"):
            raise InvalidParameter(f'invalid --security-opt 2: "{option}"')
    return found


def _boolean(option: str, value: str) -> bool:
    if value not in _BOOLEANS:
        raise InvalidParameter(
            f'invalid --security-opt 2: "{option}"', hint="It takes true or false after the equals sign."
        )
    return _BOOLEANS[value]
