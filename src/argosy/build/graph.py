"""From the stages of a Dockerfile to vertices, and to what each stage's image says of itself. Pure, but for
what a base image is: `resolve` knows.

Only stages that the target needs are looked at. An instruction that makes no files changes the stage's
configuration and leaves a word in its history; the others become vertices, each on the one before.
"""

import contextlib
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from argosy.build import arguments, ports
from argosy.build.complain import DockerfileError, did_you_mean
from argosy.build.dockerfile import Dockerfile, parse_trigger
from argosy.build.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stage,
    Stopsignal,
    User,
    Volume,
    Workdir,
    base_stage,
    find_stage,
)
from argosy.build.interpret import instruction, stages
from argosy.build.lay import absolute, require_directory
from argosy.build.signals import check_signal
from argosy.build.vertex import (
    Attachment,
    CopyVertex,
    ImageVertex,
    Origin,
    RunVertex,
    Vertex,
    WorkdirVertex,
)
from argosy.build.words import Style, Variables, process
from argosy.errors import ArgosyError
from argosy.spec import oci_image
from argosy.spec.oci_image import DEFAULT_PATH

DEFAULT_SHELL = ("/bin/sh", "-c")
# Labels show an instruction as it was written, with values in the place of variables that have one.
_SHOWN = Style(keep_quotes=True, keep_escapes=True, keep_unset=True)
HISTORY_COMMENT = "buildkit.dockerfile.v0"
_REMOTE = ("http://", "https://", "git://", "ssh://", "git@")


@dataclass(frozen=True, slots=True)
class Base:
    """What an image is to a build."""

    reference: str
    document: oci_image.Image
    name: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for beside the Dockerfile. `latest`: SOURCE_DATE_EPOCH, in nanoseconds."""

    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platform: str = "linux/amd64"
    build_platform: str = "linux/amd64"
    labels: Mapping[str, str] = field(default_factory=dict)
    no_cache: bool = False
    no_cache_filter: Sequence[str] = ()
    network: str = "default"
    hosts: Sequence[str] = ()
    shm_size: int = 0
    ulimits: Sequence[str] = ()
    contexts: Sequence[str] = ()
    hostname: str = ""
    is_one_of_several: bool = False
    latest: int | None = None


class Step(msgspec.Struct):
    """A line of a stage's history; `vertex` made its layer, if it has one."""

    created_by: str
    vertex: Vertex | None = None
    author: str = ""


@dataclass(slots=True)
class Built:
    """A stage as it is after its last instruction."""

    vertex: Vertex
    base: oci_image.Image
    config: oci_image.ImageConfig
    platform: str
    steps: list[Step] = field(default_factory=list)
    author: str = ""
    # ARGs that have a value, for what comes after.
    values: dict[str, str] = field(default_factory=dict)
    declared: dict[str, str] = field(default_factory=dict)


# A reference and a platform → what it is, pulled if need be. Raises NotFound and others.
Resolve = Callable[[str, str], Base]
_SCRATCH = oci_image.Image(config=oci_image.ImageConfig())


def _steps_of(instructions: Sequence[Instruction]) -> int:
    return sum(
        bool(each.words) if isinstance(each, Run) else isinstance(each, Copy | Add | Workdir)
        for each in instructions
    )


class Graph:
    """`target` is the stage that was asked for; `vertices` all that it needs, in an order that works."""

    def __init__(self, dockerfile: Dockerfile, options: Options, resolve: Resolve) -> None:
        """Raises DockerfileError, and what `resolve` raises."""
        self._dockerfile = dockerfile
        self._options = options
        self._resolve = resolve
        self._global_arguments, self._stages = stages(dockerfile)
        target = _target(self._stages, options.target)
        predefined = arguments.predefined(
            options.build_platform, options.platform, target.name, options.build_args
        )
        self._predefined = predefined
        self._globals = arguments.global_values(
            self._global_arguments, predefined, options.build_args, dockerfile.escape
        )
        self._built: dict[int, Built] = {}
        self._images: dict[tuple[str, str], Built] = {}
        self._used_arguments: set[str] = set()
        self.vertices: list[Vertex] = []
        self.target = self._build(target)
        self.stage = target

    @property
    def unused_arguments(self) -> list[str]:
        known = set(self._predefined) | set(arguments.PROXIES) | {p.upper() for p in arguments.PROXIES}
        given = set(self._options.build_args)
        ignored = {name for name in given if name.startswith("BUILDKIT_") or name == "SOURCE_DATE_EPOCH"}
        return sorted(given - known - self._used_arguments - ignored)

    def _build(self, stage: Stage) -> Built:
        built = self._built.get(stage.number)
        if built is None:
            try:
                built = self._built[stage.number] = _StageBuilder(self, stage).run()
            except DockerfileError as error:
                raise error.at(stage.origin.lines.first, stage.origin.lines.last) from None
        return built

    # What the builder of a stage asks for

    @property
    def options(self) -> Options:
        return self._options

    @property
    def escape(self) -> str:
        return self._dockerfile.escape

    @property
    def globals(self) -> Mapping[str, str]:
        return self._globals

    def use_argument(self, name: str) -> None:
        self._used_arguments.add(name)

    def beginning(self, stage: Stage) -> Built:
        """What FROM gives it."""
        variables = Variables(self._globals, self._dockerfile.escape)
        origin = stage.origin.expanded(variables)
        self._used_arguments |= variables.used
        platform = origin.platform or self._options.platform
        below = base_stage(self._stages, stage.number, origin.base)
        if below is not None:
            built = self._build(below)
            # ARGs end with their stage.
            return replace(built, steps=list(built.steps), values={}, declared={})
        return self._image(origin.base, platform, stage)

    def called(self, stage: Stage, platform: str) -> str:
        """How steps of the stage are told apart from others' in their labels."""
        name = f"{stage.name or f'stage-{stage.number}'} " if len(self._stages) > 1 else ""
        return f"{platform} {name}" if self._options.is_one_of_several else name

    def add(self, vertex: Vertex) -> Vertex:
        self.vertices.append(vertex)
        return vertex

    def origin(self, reference: str, stage: Stage, platform: str) -> Origin:
        """What `--from` means to an instruction of a stage. Raises DockerfileError."""
        found = find_stage(self._stages[: stage.number], reference) if reference else None
        if found is not None and found.number == stage.number:
            raise DockerfileError(f"invalid from flag value {reference}: a stage cannot copy from itself")
        if found is not None:
            return Origin(vertex=self._build(found).vertex)
        if not reference or reference in self._options.contexts:
            return Origin(context=reference)
        later = find_stage(self._stages, reference) if not reference.isdigit() else None
        if later is not None:
            raise DockerfileError(
                f"invalid from flag value {reference}: stage {reference} is not built yet",
                hint=f"It begins at line {later.origin.lines.first}; move it above this stage.",
            )
        return Origin(vertex=self._image(reference, platform, stage, names=True).vertex)

    def _image(self, reference: str, platform: str, stage: Stage, *, names: bool = False) -> Built:
        if reference == "scratch":
            vertex = ImageVertex(label="scratch", stage=stage.name, reference="scratch", diff_ids=())
            config = oci_image.ImageConfig(env=[f"PATH={DEFAULT_PATH}"], working_dir="/")
            return Built(vertex, _SCRATCH, config, platform)
        key = (reference, platform)
        built = self._images.get(key)
        if built is None:
            base = self._found(reference, platform, stage)
            shown = base.name or reference
            vertex = ImageVertex(
                label=f"FROM {shown}"
                if names
                else f"[{self.called(stage, platform)}1/{1 + _steps_of(stage.instructions)}] FROM {shown}",
                stage=stage.name,
                lines=stage.origin.lines,
                reference=base.reference,
                diff_ids=tuple(base.document.rootfs.diff_ids or ()),
            )
            built = self._images[key] = Built(
                self.add(vertex), base.document, _with_path(base.document.config), platform
            )
        return replace(built, steps=[], values={}, declared={})

    def _found(self, reference: str, platform: str, stage: Stage) -> Base:
        try:
            return self._resolve(reference, platform)
        except DockerfileError:
            raise
        except ArgosyError as error:
            earlier = [each.name for each in self._stages[: stage.number] if each.name]
            suggested = did_you_mean(reference, earlier)
            hint = f"No stage is called {reference}{suggested}" if suggested else error.hint
            raise DockerfileError(
                f"{reference}: failed to resolve source metadata: {error.message}", hint=hint
            ) from error


class _StageBuilder:
    def __init__(self, graph: Graph, stage: Stage) -> None:
        self._graph = graph
        self._stage = stage
        self._options = graph.options
        self._state = graph.beginning(stage)
        triggers = self._state.config.on_build or []
        self._state.config = _replaced(self._state.config, on_build=None)
        self._instructions: list[Instruction] = [
            *(instruction(parse_trigger(each)) for each in triggers),
            *stage.instructions,
        ]
        self._shell: Sequence[str] = self._state.config.shell or DEFAULT_SHELL
        self._is_first = isinstance(self._state.vertex, ImageVertex)
        self._total = _steps_of(self._instructions) + self._is_first
        self._number = int(self._is_first)
        self._no_cache = self._options.no_cache or any(
            name.lower() == stage.name or name == str(stage.number) for name in self._options.no_cache_filter
        )
        self._command_given = False

    def run(self) -> Built:
        for each in self._instructions:
            try:
                self._dispatch(each)
            except DockerfileError as error:
                raise error.at(each.lines.first, each.lines.last) from None
        return self._state

    def _dispatch(self, each: Instruction) -> None:
        variables = Variables(self._environment(), self._graph.escape)
        if not isinstance(each, Run):
            each = each.expanded(variables)
        match each:
            case Run():
                self._run(each, variables)
            case Copy() | Add():
                self._transfer(each, variables)
            case Workdir():
                self._workdir(each, variables)
            case Arg():
                self._arg(each, variables)
            case _:
                self._configure(each)

    def _environment(self) -> dict[str, str]:
        """Variables as instructions see them: ENV hides ARG."""
        config = dict(item.partition("=")[::2] for item in self._state.config.env or [])
        return {**self._state.values, **config}

    # Instructions that make files

    def _label(self, text: str, variables: Variables) -> str:
        """The instruction with its variables' values, as far as it can be read that way."""
        self._number += 1
        with contextlib.suppress(DockerfileError):
            text = process(text, variables.environment, variables.escape, _SHOWN).text
        return f"[{self._graph.called(self._stage, self._state.platform)}{self._number}/{self._total}] {text}"

    def _advance(self, vertex: Vertex, created_by: str) -> None:
        self._state.vertex = self._graph.add(vertex)
        self._state.steps.append(Step(created_by, vertex))

    def _run(self, run: Run, variables: Variables) -> None:
        if not run.words:
            # `RUN []` runs nothing.
            return
        config = self._state.config
        given = self._options.build_args
        proxies = {n for p in arguments.PROXIES for n in (p, p.upper()) if n in given}
        values = {n: v for n, v in self._state.values.items() if n not in arguments.NOT_IN_ENVIRONMENT}
        declared = {n: v for n, v in self._state.declared.items() if n not in arguments.NOT_IN_ENVIRONMENT}
        environment = {**values, **dict(item.partition("=")[::2] for item in config.env or [])}
        script = run.script
        line = [f"/dev/pipes/{script.name}"] if script else run.line(self._shell)
        workdir = config.working_dir or "/"
        ssh = 0
        namespace = given.get(arguments.CACHE_NAMESPACE, "")
        attachments = []
        for mount in run.mounts(variables):
            origin = None
            if mount.type in ("bind", "cache") and (mount.from_ or mount.type == "bind"):
                origin = self._graph.origin(mount.from_, self._stage, self._state.platform)
            if namespace and mount.type == "cache":
                mount = replace(mount, id=f"{namespace}/{mount.cache_id}")
            attachments.append(Attachment(mount=mount, target=mount.destination(workdir, ssh), origin=origin))
            ssh += mount.type == "ssh"
        vertex = RunVertex(
            label=self._label(run.lines.text, variables),
            stage=self._stage.name,
            lines=run.lines,
            base=self._state.vertex,
            arguments=tuple(line),
            script=script,
            environment=tuple(f"{name}={value}" for name, value in environment.items()),
            hidden_environment=tuple(f"{n}={given[n]}" for n in sorted(proxies) if n not in environment),
            workdir=workdir,
            user=config.user,
            attachments=tuple(attachments),
            network=run.network if run.network != "default" else self._options.network or "default",
            security=run.security,
            hosts=tuple(self._options.hosts),
            shm_size=self._options.shm_size,
            ulimits=tuple(self._options.ulimits),
            platform=self._state.platform,
            hostname=self._options.hostname or given.get(arguments.HOSTNAME, ""),
            no_cache=self._no_cache,
        )
        shown = [f"{name}={value}" for name, value in declared.items() if name not in self._environment_set()]
        prefix = f"|{len(shown)} {' '.join(shown)} " if shown else ""
        words = [*self._shell, *line] if script else line
        text = f"RUN {prefix}{' '.join(words)} # buildkit"
        self._advance(vertex, text)

    def _environment_set(self) -> set[str]:
        return {item.partition("=")[0] for item in self._state.config.env or []}

    def _transfer(self, each: Copy | Add, variables: Variables) -> None:
        is_add = isinstance(each, Add)
        remotes = tuple(s for s in each.sources if isinstance(each, Add) and s.startswith(_REMOTE))
        local = tuple(s for s in each.sources if s not in remotes)
        destination = absolute(each.destination, self._state.config.working_dir or "/")
        require_directory([*each.sources, *(i.name for i in each.inline)], destination)
        reference = each.from_ if isinstance(each, Copy) else ""
        origin = self._graph.origin(reference, self._stage, self._state.platform)
        vertex = CopyVertex(
            label=self._label(each.lines.text, variables),
            stage=self._stage.name,
            lines=each.lines,
            base=self._state.vertex,
            no_cache=self._no_cache,
            origin=origin if local else Origin(),
            sources=local,
            inline=each.inline,
            destination=destination,
            chown=each.chown,
            chmod=each.chmod,
            linked=each.link,
            parents=isinstance(each, Copy) and each.parents,
            exclude=each.exclude,
            is_add=is_add,
            remotes=remotes,
            checksum=each.checksum if isinstance(each, Add) else "",
            keep_git_dir=isinstance(each, Add) and bool(each.keep_git_dir),
            unpack=each.unpack if isinstance(each, Add) else None,
            latest=self._options.latest,
        )
        flags = f"--chown={each.chown} " if each.chown else ""
        flags += f"--chmod={each.chmod} " if each.chmod else ""
        sources = " ".join([*each.sources, *(f"<<{i.name}" for i in each.inline)])
        name = "ADD" if is_add else "COPY"
        self._advance(vertex, f"{name} {flags}{sources} {each.destination} # buildkit")

    def _workdir(self, each: Workdir, variables: Variables) -> None:
        path = posixpath.normpath(posixpath.join("/", self._state.config.working_dir or "/", each.text))
        path = "/" + path.lstrip("/")
        self._state.config = _replaced(self._state.config, working_dir=path)
        vertex = WorkdirVertex(
            label=self._label(each.lines.text, variables),
            stage=self._stage.name,
            lines=each.lines,
            base=self._state.vertex,
            no_cache=self._no_cache,
            path=path,
            user=self._state.config.user or "",
        )
        self._advance(vertex, f"WORKDIR {path}")

    # Instructions that say something

    def _say(self, created_by: str) -> None:
        self._state.steps.append(Step(created_by))

    def _arg(self, each: Arg, variables: Variables) -> None:
        shown = []
        for definition in each.definitions:
            value = arguments.stage_value(
                each, definition, self._options.build_args, self._graph.globals, variables
            )
            self._graph.use_argument(definition.name)
            self._state.declared[definition.name] = value or ""
            if value is not None:
                self._state.values[definition.name] = value
                variables = Variables(self._environment(), self._graph.escape)
            shown.append(definition.name if value is None else f"{definition.name}={value}")
        self._say(f"ARG {' '.join(shown)}")

    def _configure(self, each: Instruction) -> None:
        config = self._state.config
        match each:
            case Env():
                environment = dict(item.partition("=")[::2] for item in config.env or [])
                environment.update((pair.key, pair.value) for pair in each.pairs)
                config = _replaced(config, env=[f"{k}={v}" for k, v in environment.items()])
                self._say("ENV " + " ".join(f"{pair.key}={pair.value}" for pair in each.pairs))
            case Label():
                labels = {**(config.labels or {}), **{pair.key: pair.value for pair in each.pairs}}
                config = _replaced(config, labels=labels)
                self._say("LABEL " + " ".join(f"{pair.key}={pair.value}" for pair in each.pairs))
            case Cmd():
                line = each.line(self._shell)
                config = _replaced(config, cmd=line, args_escaped=True)
                self._command_given = True
                self._say(f"CMD {_go_list(line)}")
            case Entrypoint():
                line = each.line(self._shell)
                # What the base ran by default was meant for another entry point.
                cmd = config.cmd if self._command_given else None
                config = _replaced(config, entrypoint=line, cmd=cmd)
                self._say(f"ENTRYPOINT {_go_list(line)}")
            case Expose():
                found = ports.exposed(each.words)
                config = _replaced(
                    config, exposed_ports={**(config.exposed_ports or {}), **{p: {} for p in found}}
                )
                self._say(f"EXPOSE {_go_map(found)}")
            case User():
                config = _replaced(config, user=each.text)
                self._say(f"USER {each.text}")
            case Volume():
                config = _replaced(config, volumes={**(config.volumes or {}), **{p: {} for p in each.paths}})
                self._say(f"VOLUME [{' '.join(each.paths)}]")
            case Stopsignal():
                check_signal(each.text)
                config = _replaced(config, stop_signal=each.text)
                self._say(f"STOPSIGNAL {each.text}")
            case Shell():
                self._shell = each.words
                config = _replaced(config, shell=list(each.words))
                self._say(f"SHELL [{' '.join(each.words)}]")
            case Healthcheck():
                config = _replaced(config, healthcheck=_health(each))
                self._say(f"HEALTHCHECK {_go_health(each)}")
            case Onbuild():
                config = _replaced(config, on_build=[*(config.on_build or []), each.expression])
            case Maintainer():
                self._state.author = each.text
                self._say(f"MAINTAINER {each.text}")
            case _:
                raise AssertionError(each.name)
        self._state.config = config


def _target(found: Sequence[Stage], name: str) -> Stage:
    if not name:
        return found[-1]
    stage = find_stage(found, name)
    if stage is None:
        names = [each.name for each in found if each.name]
        listed = f"Its stages are: {', '.join(names)}." if names else "It names no stage."
        raise DockerfileError(
            f'target stage "{name}" could not be found{did_you_mean(name, names)}', hint=listed
        )
    return stage


def _with_path(config: oci_image.ImageConfig | None) -> oci_image.ImageConfig:
    config = config or oci_image.ImageConfig()
    environment = config.env or []
    if any(item.startswith("PATH=") for item in environment):
        return config
    return _replaced(config, env=[*environment, f"PATH={DEFAULT_PATH}"])


def _replaced(config: oci_image.ImageConfig, **changes: object) -> oci_image.ImageConfig:
    return msgspec.structs.replace(config, **changes)


def _health(check: Healthcheck) -> oci_image.Healthcheck:
    return oci_image.Healthcheck(
        list(check.test),
        check.interval,
        check.timeout,
        check.start_period,
        check.start_interval,
        check.retries,
    )


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _go_list(words: Sequence[str]) -> str:
    return "[" + " ".join(_quoted(word) for word in words) + "]"


def _go_map(found: Sequence[str]) -> str:
    return "[" + " ".join(found) + "]"


def _go_health(check: Healthcheck) -> str:
    times = (check.interval, check.timeout, check.start_period, check.start_interval)
    shown = " ".join(_quoted(_go_duration(each)) for each in times)
    return f"&{{{_go_list(check.test)} {shown} '\\x{check.retries:02x}'}}"


def _go_duration(nanoseconds: int) -> str:
    """As Go's time.Duration prints itself."""
    if 0 < nanoseconds < 1_000_000_000:
        unit, name = (1_000_000, "ms") if nanoseconds >= 1_000_000 else (1_000, "µs")
        return f"{nanoseconds / unit:g}{name}"
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    shown = f"{seconds % 60 + rest / 1e9:.9f}".rstrip("0").rstrip(".") + "s"
    if seconds >= 60:
        shown = f"{minutes}m{shown}"
    return f"{hours}h{shown}" if hours else shown
