"""`argosy create`, and the creation that `run` begins with."""

from __future__ import annotations

import os
import sys

from argosy.cli.container.body import create_body
from argosy.cli.container.create_options import GENERAL, HIDDEN, WINDOWS
from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.platforms import check_platform
from argosy.cli.reference import parse
from argosy.client.errors import APIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.cli.reference import Reference
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create a new container",
    f"Options:{GENERAL}",
    arguments=(1, None),
    interspersed=False,
    hidden=HIDDEN,
    windows=WINDOWS,
    also="argosy container create, argosy create",
)
_SOCKET = "/var/run/docker.sock"
_PULL_POLICIES = ("always", "missing", "never")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    body = prepare(context, options, arguments)
    try:
        container = create(context, options, body)
    except APIError as error:
        raise Failure(context.explain(error)) from None
    print(container)
    return 0


def prepare(context: Context, options: Options, arguments: list[str], *, detach: bool = False) -> Document:
    """The request's body; everything that is wrong with the options is said now, with 125."""
    policy = options.text("pull") or "missing"
    try:
        body = create_body(options, arguments[0], arguments[1:], detach=detach)
        if policy not in _PULL_POLICIES:
            raise ValueError(
                f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"'
            )
        if options.on("use-api-socket"):
            _mount_socket(context, body)
    except ValueError as error:
        raise refused(context, f"argosy: {error}") from None
    return body


def _mount_socket(context: Context, body: Document) -> None:
    """The engine that creates the container is the one that it may speak to. Raises ValueError."""
    if not context.host.startswith("unix://"):
        raise ValueError(
            "flag --use-api-socket can only be used with unix sockets: docker endpoint "
            f"{context.host} incompatible"
        )
    mount = {"Type": "bind", "Source": context.host.removeprefix("unix://"), "Target": _SOCKET}
    body["HostConfig"].setdefault("Mounts", []).append({**mount, "BindOptions": {}})


def refused(context: Context, message: str, code: int = 125) -> Failure:
    return Failure(f"{message}\n\nRun '{context.path} --help' for more information", code)


def create(context: Context, options: Options, body: Document) -> str:
    """Create the container, pulling its image if need be; its ID. Raises APIError, Failure."""
    try:
        wanted = parse(body["Image"]).tagged()
    except ValueError as error:
        raise Failure(str(error)) from None
    cid_file = options.text("cidfile")
    if not cid_file:
        return _create(context, options, body, wanted)
    with _id_file(cid_file) as file:
        try:
            identifier = _create(context, options, body, wanted)
        except BaseException:
            os.unlink(cid_file)
            raise
        file.write(identifier)
    return identifier


def _create(context: Context, options: Options, body: Document, wanted: Reference) -> str:
    policy = options.text("pull") or "missing"
    if policy == "always":
        _pull(context, options, wanted)
    client = context.client
    name, platform = options.text("name"), options.text("platform")
    check_platform(platform)
    try:
        answer = client.create_container(body, name=name, platform=platform)
    except APIError as error:
        if error.status != 404 or policy != "missing" or "image" not in error.message:
            raise
        _pull(context, options, wanted, announce=True)
        answer = client.create_container(body, name=name, platform=platform)
    for warning in answer.get("Warnings") or ():
        sys.stderr.write(f"WARNING: {warning}\n")
    return str(answer["Id"])


def _id_file(path: str) -> TextIO:
    try:
        return open(path, "x")
    except FileExistsError:
        raise Failure(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise Failure(f"failed to create the container ID file: open {path}: {reason}") from None


def _pull(context: Context, options: Options, wanted: Reference, *, announce: bool = False) -> None:
    from argosy.cli.pulling import pull

    quiet = options.on("quiet")
    if announce and not quiet:
        sys.stderr.write(f"Unable to find image '{wanted.familiar}' locally\n")
    output = None if quiet else sys.stderr
    pull(context.client, wanted, output, platform=options.text("platform"))
