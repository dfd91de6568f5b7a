"""RUN carried out: from what it says to a key, to a process, and to a layer."""

import os
import platform as machine
import posixpath
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack

from argosy.build.complain import DockerfileError
from argosy.build.lay import Attributes, Layer
from argosy.build.progress import StepProgress
from argosy.build.select import select
from argosy.build.tools import Tools
from argosy.build.vertex import Attachment, RunVertex
from argosy.errors import ArgosyError, InvalidParameter
from argosy.image.platforms import host_platform, parse_platform
from argosy.linux.path import DIRECTORY, open_in_root
from argosy.runtime.copy_up import copy_up
from argosy.spec.build_step import BuildStep, StepMount

Diff = tuple[str, ...]
_BINFMT = "/proc/sys/fs/binfmt_misc"
_EMULATORS = {"arm64": "aarch64", "amd64": "x86_64", "386": "i386"}


class StepFailed(ArgosyError):
    """The command ended with another code than 0. `diff_ids` are the layers that it ran on and the one that
    it left, if that was kept."""

    status = 400

    def __init__(self, command: str, exit_code: int, diff_ids: Diff = ()) -> None:
        super().__init__(f'process "{command}" did not complete successfully: exit code: {exit_code}')
        self.exit_code = exit_code
        self.diff_ids = diff_ids


class RunOperation:
    """`sources` are the layers of each attachment's origin, empty for those that have no vertex."""

    def __init__(self, vertex: RunVertex, tools: Tools, base: Diff, sources: Sequence[Diff]) -> None:
        self._vertex = vertex
        self._tools = tools
        self._base = base
        self._sources = sources

    def parts(self) -> dict[str, str]:
        latest = self._tools.latest
        found = {
            "step": self._vertex.definition,
            "base": ",".join(self._base),
            "epoch": "" if latest is None else str(latest),
        }
        for number, (each, source) in enumerate(zip(self._vertex.attachments, self._sources, strict=True)):
            if each.origin is None:
                continue
            if each.origin.vertex is not None:
                found[f"mount {number}"] = ",".join(source)
            elif each.mount.type == "bind":
                with self._tools.contexts[each.origin.context].files() as files:
                    found[f"mount {number}"] = select(files, [each.mount.source or "."]).digest()
        return found

    def execute(self, progress: StepProgress) -> str:
        """The layer's diff ID. Raises StepFailed, InvalidParameter, DockerfileError."""
        vertex, tools = self._vertex, self._tools
        _check_platform(vertex.platform)
        identifier = f"build-{os.urandom(16).hex()}"
        with ExitStack() as stack:
            scratch = stack.enter_context(tempfile.TemporaryDirectory(dir=tools.scratch))
            environment = [*vertex.environment, *vertex.hidden_environment]
            mounts: list[StepMount] = []
            for number, each in enumerate(vertex.attachments):
                mounts += self._mount(each, self._sources[number], number, scratch, environment, stack)
            if vertex.script is not None:
                path = os.path.join(scratch, "script")
                _write(path, vertex.script.content.encode(errors="surrogateescape"), 0o755, (0, 0))
                mounts.append(StepMount("bind", f"/dev/pipes/{vertex.script.name}", path, read_only=True))
            snapshot = stack.enter_context(tools.assembler.active(identifier, self._base, tools.lease))
            step = BuildStep(
                identifier,
                snapshot,
                list(vertex.arguments),
                environment,
                vertex.workdir,
                vertex.user,
                mounts,
                vertex.network,
                vertex.security == "insecure",
                list(vertex.hosts),
                vertex.shm_size,
                list(vertex.ulimits),
                vertex.hostname,
            )
            left_out = {mount.target.lstrip("/").encode() for mount in mounts}
            left_out |= {part for path in list(left_out) for part in _parents(path)}
            with tools.running(identifier):
                code = tools.worker.run(step, progress.say, left_out)
            if code and not tools.keep_failed:
                raise StepFailed(" ".join(vertex.arguments), code)
            layer = tools.assembler.difference(snapshot, tools.lease, left_out, tools.latest)
            if code:
                raise StepFailed(" ".join(vertex.arguments), code, (*self._base, layer))
            return layer

    def _mount(
        self,
        each: Attachment,
        source: Diff,
        number: int,
        scratch: str,
        environment: list[str],
        stack: ExitStack,
    ) -> list[StepMount]:
        mount = each.mount
        match mount.type:
            case "tmpfs":
                return [StepMount("tmpfs", each.target, size=mount.size)]
            case "secret":
                return self._secret(each, number, scratch, environment)
            case "ssh":
                return self._ssh(each, environment)
            case "cache":
                return [self._cache(each, source, stack)]
            case _:
                return [self._bind(each, source, number, stack)]

    def _bind(self, each: Attachment, source: Diff, number: int, stack: ExitStack) -> StepMount:
        mount, tools = each.mount, self._tools
        assert each.origin is not None
        subpath = posixpath.normpath("/" + mount.source).lstrip("/") if mount.source else ""
        if each.origin.vertex is None:
            context = tools.contexts[each.origin.context]
            if mount.read_only and context.ignore is None:
                return StepMount("bind", each.target, context.path, subpath, read_only=True)
            source = (self._context_layer(each),)
        key = f"build-mount-{os.urandom(12).hex()}"
        stack.enter_context(tools.assembler.active(key, source, tools.lease))
        return StepMount("snapshot", each.target, key, subpath, mount.read_only)

    def _context_layer(self, each: Attachment) -> str:
        """What of a context is not ignored, as a layer of its own."""
        assert each.origin is not None
        tools = self._tools
        with tools.contexts[each.origin.context].files() as files:
            selection = select(files, ["."])

            def write(put: object) -> None:
                assert callable(put)
                layer = Layer(None, put, tools.now, tools.latest)
                layer.transfer(selection, "/", Attributes())
                layer.finish()

            return tools.assembler.layer(write, tools.lease)

    def _cache(self, each: Attachment, source: Diff, stack: ExitStack) -> StepMount:
        mount, tools = each.mount, self._tools
        owner = (mount.uid or 0, mount.gid or 0)
        identifier = mount.cache_id if mount.id else each.target
        use = tools.mounts.use(identifier, mount.cache_sharing, owner, mount.permissions)
        path, is_new = stack.enter_context(use)
        if is_new and source:
            with tools.assembler.view(source, tools.lease) as view:
                _fill(path, view.descriptor, mount.source)
        # An id of another build's must not lead out of the directory: it is a name of ours.
        return StepMount("bind", each.target, path, "", read_only=mount.read_only)

    def _secret(self, each: Attachment, number: int, scratch: str, environment: list[str]) -> list[StepMount]:
        mount = each.mount
        value = self._tools.secret(mount.secret_id)
        if value is None:
            if mount.required:
                raise DockerfileError(
                    f"secret {mount.secret_id}: not found",
                    hint=f"Give it: --secret id={mount.secret_id},src=FILE",
                )
            return []
        if mount.env is not None:
            environment.append(f"{mount.env or mount.secret_id}={value.decode(errors='surrogateescape')}")
        if not each.target:
            return []
        path = os.path.join(scratch, f"secret{number}")
        _write(path, value, mount.permissions, (mount.uid or 0, mount.gid or 0))
        return [StepMount("bind", each.target, path, read_only=True)]

    def _ssh(self, each: Attachment, environment: list[str]) -> list[StepMount]:
        socket = self._tools.agent(each.mount.ssh_id)
        if socket is None:
            if each.mount.required:
                raise DockerfileError(
                    f"unset ssh forward key {each.mount.ssh_id}",
                    hint=f"Give it: --ssh {each.mount.ssh_id}, with an agent that has the key (ssh-add -l)",
                )
            return []
        if not any(item.startswith("SSH_AUTH_SOCK=") for item in environment):
            environment.append(f"SSH_AUTH_SOCK={each.target}")
        return [StepMount("bind", each.target, socket)]


def _write(path: str, data: bytes, mode: int, owner: tuple[int, int]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _fill(directory: str, root: int, source: str) -> None:
    """What a cache mount begins with. Another build may be at work in it already."""
    try:
        origin = open_in_root(root, source or "/", os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        target = os.open(directory, DIRECTORY)
        try:
            copy_up(origin, target)
        finally:
            os.close(target)
    finally:
        os.close(origin)


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:depth]) for depth in range(1, len(parts))]


def _check_platform(text: str) -> None:
    """A program for another processor needs an emulator that the kernel knows."""
    wanted, own = parse_platform(text), host_platform()
    if wanted.architecture == own.architecture or (own.architecture, wanted.architecture) == ("amd64", "386"):
        return
    name = _EMULATORS.get(wanted.architecture, wanted.architecture)
    if os.path.exists(f"{_BINFMT}/qemu-{name}"):
        return
    raise InvalidParameter(
        f"cannot run programs for {text} on this {machine.machine()} machine: no emulator is registered",
        hint="apt install qemu-user-static binfmt-support, or build for the machine's own platform.",
    )
