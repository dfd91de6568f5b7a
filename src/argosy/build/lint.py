"""Docker's build checks: what works and is likely not what was meant.

The Dockerfile is walked as a build would walk it, with the variables that each instruction would see and
without running anything. A base image's environment is only known to whoever has the image; where it is
unknown, nothing is said about undefined variables.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from argosy.build import ports, rules
from argosy.build.arguments import NOT_IN_ENVIRONMENT, global_values, predefined, stage_value
from argosy.build.complain import DockerfileError, did_you_mean
from argosy.build.dockerfile import Dockerfile, Node
from argosy.build.ignore import Ignore
from argosy.build.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Lines,
    Run,
    Shell,
    Stage,
    Workdir,
    base_stage,
)
from argosy.build.interpret import stages
from argosy.build.rules import Options, Rule, parse_options
from argosy.build.words import Expansion, Variables, process, quoted
from argosy.spec.oci_image import DEFAULT_PATH

CHECK_ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
_RESERVED = ("context", "scratch")
_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "wasip1")
_ARCHITECTURES = {
    **{name: name for name in "386 amd64 arm arm64 loong64 mips64 mips64le ppc64le riscv64 s390x".split()},
    "i386": "386", "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm",
}  # fmt: skip
# The grammar of github.com/distribution/reference, as far as FROM needs it.
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?:localhost|[a-zA-Z0-9-]*[.:A-Z][a-zA-Z0-9.:-]*|\[[0-9a-fA-F:]+\](?::[0-9]+)?)/)?"
    rf"{_COMPONENT}(?:/{_COMPONENT})*(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?",
    re.ASCII,
)


class Warning(NamedTuple):
    rule: str
    description: str
    url: str
    message: str
    first_line: int
    last_line: int


@dataclass
class Report:
    """Warnings up to the mistake that a build would fail at, if there is one."""

    warnings: list[Warning] = field(default_factory=list)
    error: DockerfileError | None = None


@dataclass(frozen=True)
class Surroundings:
    """What the Dockerfile does not say itself."""

    build_args: Mapping[str, str] = field(default_factory=dict)
    ignore: Ignore | None = None
    build_platform: str = "linux/amd64"
    target_platform: str = "linux/amd64"
    target: str = ""
    environment_of: Callable[[str], Mapping[str, str] | None] = lambda image: None
    """A base image's; None if it is not known."""
    only: frozenset[int] | None = None
    """The stages that take part, by number; None: all."""


def lint(
    dockerfile: Dockerfile, build_args: Mapping[str, str] | None = None, ignore: Ignore | None = None
) -> list[Warning]:
    return check(dockerfile, Surroundings(build_args or {}, ignore)).warnings


def check(dockerfile: Dockerfile, surroundings: Surroundings) -> Report:
    """As `docker build --check`, or, with `only` some stages, as a build does by the way."""
    report = Report()
    try:
        options = parse_options(surroundings.build_args.get(CHECK_ARGUMENT, dockerfile.check))
        _Linter(dockerfile, surroundings, options, report).run()
    except DockerfileError as error:
        report.error = error
        return report
    if options.is_error and report.warnings:
        violated = ", ".join(dict.fromkeys(warning.rule for warning in report.warnings))
        report.error = DockerfileError(f"lint violation found for rules: {violated}")
    return report


@dataclass
class _State:
    """What an instruction of a stage finds."""

    environment: dict[str, str]
    is_known: bool
    """The environment is all there is, not just what the Dockerfile adds to it."""
    declared: set[str] = field(default_factory=set)
    has_shell: bool = False
    has_workdir: bool = False
    last: dict[type, Lines] = field(default_factory=dict)


class _Linter:
    def __init__(
        self, dockerfile: Dockerfile, surroundings: Surroundings, options: Options, report: Report
    ) -> None:
        self._dockerfile = dockerfile
        self._around = surroundings
        self._options = options
        self._report = report
        self._states: dict[int, _State] = {}
        self._globals: dict[str, str] = {}
        self._declared: set[str] = set()

    def run(self) -> None:
        for line in self._dockerfile.empty_continuations:
            self._warn(rules.NO_EMPTY_CONTINUATION, (line, line))
        for node in self._dockerfile.nodes:
            self._node(node)
        arguments, found = stages(self._dockerfile)
        self._stage_names(found)
        self._casing(found)
        self._default_bases(arguments, found)
        around = self._around
        base = self._predefined(found)
        self._globals = global_values(arguments, base, around.build_args, self._dockerfile.escape)
        self._declared = {definition.name for argument in arguments for definition in argument.definitions}
        bases = [self._base(stage) for stage in found]
        for stage, name in zip(found, bases, strict=True):
            if around.only is None or stage.number in around.only:
                self._stage(stage, name, found)

    def _warn(self, rule: Rule, where: Lines | tuple[int, int], *values: str) -> None:
        if not self._options.wants(rule):
            return
        first, last = (where.first, where.last) if isinstance(where, Lines) else where
        message = rule.message.format(*values)
        self._report.warnings.append(Warning(rule.name, rule.description, rule.url, message, first, last))

    def _predefined(self, found: Sequence[Stage]) -> dict[str, str]:
        around = self._around
        target = around.target or found[-1].name
        return predefined(around.build_platform, around.target_platform, target, around.build_args)

    # What is told from the syntax alone

    def _node(self, node: Node) -> None:
        where = (node.first_line, node.last_line)
        match node.name:
            case "maintainer":
                self._warn(rules.MAINTAINER_DEPRECATED, where)
            case "arg":
                self._description(node, [word.partition("=")[0] for word in node.arguments])
            case "from" if len(node.arguments) == 3:
                _, keyword, name = node.arguments
                if name != name.lower():
                    self._warn(rules.STAGE_NAME_CASING, where, name)
                if not _same_case(node.keyword, keyword):
                    self._warn(rules.FROM_AS_CASING, where, keyword, node.keyword)
                self._description(node, [name.lower()])

    def _description(self, node: Node, names: list[str]) -> None:
        if not node.comments or not names or node.comments[-1].split(" ")[0] in names:
            return
        example = names[0] if len(names) == 1 else "<arg_key>"
        where = (node.first_line, node.last_line)
        self._warn(rules.INVALID_DEFINITION_DESCRIPTION, where, node.keyword, example)

    def _stage_names(self, found: Sequence[Stage]) -> None:
        seen: set[str] = set()
        for stage in found:
            if stage.name in _RESERVED:
                self._warn(rules.RESERVED_STAGE_NAME, stage.origin.lines, quoted(stage.name))
            if stage.name and stage.name in seen:
                self._warn(rules.DUPLICATE_STAGE_NAME, stage.origin.lines, quoted(stage.name))
            seen.add(stage.name)

    def _casing(self, found: Sequence[Stage]) -> None:
        everything = [one.lines for stage in found for one in (stage.origin, *stage.instructions)]
        cases = Counter(_case(lines.keyword) for lines in everything)
        majority = "lowercase" if cases["lowercase"] > cases["uppercase"] else "uppercase"
        for lines in everything:
            if _case(lines.keyword) != majority:
                self._warn(rules.CONSISTENT_INSTRUCTION_CASING, lines, lines.keyword, majority)

    # FROM

    def _default_bases(self, arguments: Sequence[Arg], found: Sequence[Stage]) -> None:
        """What would be built on if nobody gave any --build-arg."""
        escape = self._dockerfile.escape
        try:
            values = global_values(arguments, self._predefined(found), {}, escape)
            bases = [process(stage.origin.base, values, escape).text for stage in found]
        except DockerfileError:  # the build will say it
            return
        for stage, base in zip(found, bases, strict=True):
            if not _is_reference(base):
                self._warn(rules.INVALID_DEFAULT_ARG_IN_FROM, stage.origin.lines, stage.origin.base)

    def _base(self, stage: Stage) -> str:
        origin = stage.origin
        names = Variables(self._globals, self._dockerfile.escape)
        names.word(origin.base)
        self._undefined_in_from(origin, names)
        platform = Variables(self._globals, self._dockerfile.escape)
        value = platform.word(origin.platform)
        self._undefined_in_from(origin, platform)
        if origin.platform:
            self._platform(origin, value, platform)
        return origin.expanded(Variables(self._globals, self._dockerfile.escape)).base

    def _undefined_in_from(self, origin: From, variables: Variables) -> None:
        known = self._declared | self._globals.keys()
        for name in sorted(variables.unmatched - known):
            self._warn(rules.UNDEFINED_ARG_IN_FROM, origin.lines, name, did_you_mean(name, known))

    def _platform(self, origin: From, value: str, variables: Variables) -> None:
        if variables.used == {"TARGETPLATFORM"} and not variables.unmatched:
            if value == self._globals["TARGETPLATFORM"]:
                self._warn(rules.REDUNDANT_TARGET_PLATFORM, origin.lines, origin.platform)
        elif not variables.used and not variables.unmatched:
            parts = _platform_parts(value)
            if parts and not any(part in origin.stage for part in parts):
                self._warn(rules.FROM_PLATFORM_FLAG_CONST_DISALLOWED, origin.lines, quoted(value))

    # What comes after FROM

    def _stage(self, stage: Stage, base: str, found: Sequence[Stage]) -> None:
        state = self._states[stage.number] = self._state(stage, base, found)
        for instruction in stage.instructions:
            self._instruction(instruction, state)

    def _state(self, stage: Stage, base: str, found: Sequence[Stage]) -> _State:
        below = base_stage(found, stage.number, base)
        if below is not None:
            inherited = self._states.get(below.number)
            if inherited is not None:
                return replace(
                    inherited,
                    environment=dict(inherited.environment),
                    declared=set(inherited.declared),
                    last={},
                )
        known = {} if base == "scratch" else None if below else self._around.environment_of(base)
        return _State({"PATH": DEFAULT_PATH, **(known or {})}, is_known=known is not None)

    def _instruction(self, instruction: Instruction, state: _State) -> None:
        variables = _Watched(state.environment, self._dockerfile.escape)
        try:
            expanded = instruction.expanded(variables)
            if isinstance(expanded, Run):
                expanded.mounts(variables)
        finally:
            if not isinstance(instruction, Expose):  # Docker says nothing of a port that is none
                self._undefined(instruction.lines, state, variables)
        self._visit(expanded, state)

    def _visit(self, instruction: Instruction, state: _State) -> None:
        lines = instruction.lines
        match instruction:
            case Env() | Label():
                self._pairs(instruction, state)
            case Arg():
                self._arg(instruction, state)
            case Copy() | Add():
                self._ignored(instruction)
            case Cmd() | Entrypoint():
                self._once(instruction, state)
                if instruction.is_shell and not state.has_shell:
                    self._warn(rules.JSON_ARGS_RECOMMENDED, lines, lines.keyword)
            case Healthcheck():
                self._once(instruction, state)
            case Shell():
                state.has_shell = True
            case Workdir():
                if not state.has_workdir and not instruction.text.startswith("/"):
                    self._warn(rules.WORKDIR_RELATIVE_PATH, lines, quoted(instruction.text))
                state.has_workdir = True
            case Expose():
                self._expose(instruction)

    def _pairs(self, instruction: Env | Label, state: _State) -> None:
        for pair in instruction.pairs:
            if pair.legacy:
                keyword = instruction.lines.keyword
                self._warn(rules.LEGACY_KEY_VALUE_FORMAT, instruction.lines, keyword)
            if isinstance(instruction, Env):
                self._secret(instruction, pair.key)
                state.environment[pair.key] = pair.value

    def _secret(self, instruction: Instruction, name: str) -> None:
        if _SECRET.search(name) and not _NO_SECRET.search(name):
            self._warn(rules.SECRETS_USED_IN_ARG_OR_ENV, instruction.lines, instruction.name, quoted(name))

    def _once(self, instruction: Instruction, state: _State) -> None:
        previous = state.last.get(type(instruction))
        if previous is not None:
            self._warn(rules.MULTIPLE_INSTRUCTIONS_DISALLOWED, previous, instruction.lines.keyword)
        state.last[type(instruction)] = instruction.lines

    def _arg(self, argument: Arg, state: _State) -> None:
        for definition in argument.definitions:
            self._secret(argument, definition.name)
            variables = _Watched(state.environment, self._dockerfile.escape)
            try:
                value = stage_value(argument, definition, self._around.build_args, self._globals, variables)
            finally:
                self._undefined(argument.lines, state, variables)
            if value is not None and definition.name not in NOT_IN_ENVIRONMENT:
                state.environment[definition.name] = value
            state.declared.add(definition.name)

    def _ignored(self, transfer: Copy | Add) -> None:
        ignore = self._around.ignore
        if ignore is None or (isinstance(transfer, Copy) and transfer.from_):
            return
        verb = "Copy" if isinstance(transfer, Copy) else "Add"
        for source in transfer.sources:
            path = posixpath.normpath(source)
            if not (verb == "Add" and _is_remote(source)) and ignore.excluded(path):
                self._warn(rules.COPY_IGNORED_FILE, transfer.lines, verb, quoted(path))

    def _expose(self, expose: Expose) -> None:
        for word in expose.words:
            protocol = ports.protocol(word)
            if protocol != protocol.lower():
                self._warn(rules.EXPOSE_PROTO_CASING, expose.lines, word)
            if ports.has_host_part(word):
                self._warn(rules.EXPOSE_INVALID_FORMAT, expose.lines, word)
        try:
            ports.exposed(expose.words)
        except DockerfileError as error:
            raise error.at(expose.lines.first, expose.lines.last) from None

    def _undefined(self, lines: Lines, state: _State, variables: "_Watched") -> None:
        if not state.is_known:
            return
        for unmatched in variables.missing:
            for name in sorted(unmatched - state.declared - set(NOT_IN_ENVIRONMENT)):
                nearest = did_you_mean(name, state.environment).replace("mean ", "mean $", 1)
                self._warn(rules.UNDEFINED_VAR, lines, name, nearest)


class _Watched(Variables):
    """Remembers what each word lacked: a variable that two words lack is told of twice."""

    def __init__(self, environment: Mapping[str, str], escape: str) -> None:
        super().__init__(environment, escape)
        self.missing: list[frozenset[str]] = []

    def noted(self, expansion: Expansion) -> Expansion:
        self.missing.append(expansion.unmatched)
        return super().noted(expansion)


def _same_case(keyword: str, other: str) -> bool:
    if keyword.islower():
        return other.islower()
    return other.isupper() if keyword.isupper() else True


def _case(keyword: str) -> str:
    return "lowercase" if keyword.islower() else "uppercase" if keyword.isupper() else "mixed"


def _is_reference(text: str) -> bool:
    return _REFERENCE.fullmatch(text) is not None and not re.fullmatch("[0-9a-f]{64}", text)


def _is_remote(source: str) -> bool:
    return source.startswith(("http://", "https://", "git@", "git://", "ssh://"))


def _platform_parts(platform: str) -> tuple[str, ...]:
    """The system and architecture that it means, if it means any."""
    parts = platform.split("/")
    if len(parts) == 1:
        name = parts[0].lower()
        if name in _SYSTEMS:
            return (name, "amd64")
        return ("linux", _ARCHITECTURES[name]) if name in _ARCHITECTURES else ()
    if len(parts) > 3 or not all(re.fullmatch(r"[\w.-]+", part, re.ASCII) for part in parts):
        return ()
    architecture = parts[1].lower()
    return (parts[0].lower(), _ARCHITECTURES.get(architecture, architecture))
