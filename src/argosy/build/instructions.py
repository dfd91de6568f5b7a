"""What the instructions of a Dockerfile say, typed.

Texts stand as written. `expanded(variables)` gives the same instruction with its quotes removed and its
variables replaced in exactly those fields where Docker does that:

    FROM                                base and platform (with the ARGs before the first FROM)
    ENV, LABEL                          keys and values
    ARG                                 the default, unless another value was given: `default_in`
    ADD, COPY                           sources, destination, --chown, --chmod, --checksum, and
                                        the content of heredocs whose delimiter is not quoted
    EXPOSE                              each word, and the result is split at spaces
    USER, VOLUME, WORKDIR, STOPSIGNAL   everything
    RUN                                 the values of --mount only: `mounts`
    CMD, ENTRYPOINT, HEALTHCHECK, SHELL, MAINTAINER, ONBUILD    nothing
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from argosy.build import mounts
from argosy.build.complain import DockerfileError, did_you_mean
from argosy.build.dockerfile import Heredoc, Node, Pair, as_heredoc
from argosy.build.words import Variables, expand


class Lines(NamedTuple):
    """Where an instruction stands, for messages about it."""

    keyword: str
    text: str
    first: int
    last: int
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instruction:
    lines: Lines

    @property
    def name(self) -> str:
        return self.lines.keyword.upper()

    def expanded(self, variables: Variables) -> Self:
        """Raises DockerfileError, with the lines."""
        try:
            return self._expanded(variables)
        except DockerfileError as error:
            raise error.at(self.lines.first, self.lines.last) from None

    def _expanded(self, variables: Variables) -> Self:
        return self


@dataclass(frozen=True, slots=True)
class From(Instruction):
    base: str
    """`scratch`, an earlier stage or an image."""
    platform: str = ""
    stage: str = ""
    """In lower case; empty if it has no name."""
    stage_as_written: str = ""
    as_keyword: str = ""

    def _expanded(self, variables: Variables) -> Self:
        base = variables.word(self.base)
        if not base:
            raise DockerfileError(
                f"base name ({self.base}) should not be blank",
                hint="Give the ARG a default before the first FROM, or a value with --build-arg",
            )
        platform = variables.word(self.platform)
        if self.platform and not platform:
            nearest = (did_you_mean(name, variables.environment) for name in sorted(variables.unmatched))
            raise DockerfileError(
                f"empty platform value from expression {self.platform}{next(filter(None, nearest), '')}"
            )
        return replace(self, base=base, platform=platform)


@dataclass(frozen=True, slots=True)
class Env(Instruction):
    pairs: tuple[Pair, ...]

    def _expanded(self, variables: Variables) -> Self:
        return replace(self, pairs=_expanded_pairs(self.pairs, variables))


@dataclass(frozen=True, slots=True)
class Label(Instruction):
    pairs: tuple[Pair, ...]

    def _expanded(self, variables: Variables) -> Self:
        return replace(self, pairs=_expanded_pairs(self.pairs, variables))


class Definition(NamedTuple):
    """One of ARG's."""

    name: str
    default: str | None = None
    description: str = ""
    """From a comment `# NAME what it is for` just above."""


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    definitions: tuple[Definition, ...]

    def default_in(self, variables: Variables, definition: Definition) -> str | None:
        """Only to be asked if no other value was given. Raises DockerfileError, with the lines."""
        try:
            return None if definition.default is None else variables.word(definition.default)
        except DockerfileError as error:
            raise error.at(self.lines.first, self.lines.last) from None


class Inline(NamedTuple):
    """A file written in the Dockerfile."""

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, slots=True)
class _Transfer(Instruction):
    sources: tuple[str, ...]
    inline: tuple[Inline, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()

    def _expanded(self, variables: Variables) -> Self:
        return replace(
            self,
            chown=variables.word(self.chown),
            chmod=variables.word(self.chmod),
            sources=tuple(variables.word(source) for source in self.sources),
            destination=variables.word(self.destination),
            inline=tuple(_expanded_inline(inline, variables) for inline in self.inline),
        )


@dataclass(frozen=True, slots=True)
class Copy(_Transfer):
    from_: str = ""
    """A stage's name or number, a named context or an image; empty: the build context."""
    parents: bool = False


@dataclass(frozen=True, slots=True)
class Add(_Transfer):
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None
    """None: local archives are unpacked, remote ones are not."""

    def _expanded(self, variables: Variables) -> Self:
        transfer = replace(self, checksum=variables.word(self.checksum))
        return _Transfer._expanded(transfer, variables)


@dataclass(frozen=True, slots=True)
class _Command(Instruction):
    words: tuple[str, ...]
    is_shell: bool
    """A single text for the shell, as opposed to the JSON form."""

    def line(self, shell: Sequence[str]) -> list[str]:
        return [*shell, " ".join(self.words)] if self.is_shell else list(self.words)


@dataclass(frozen=True, slots=True)
class Cmd(_Command):
    pass


@dataclass(frozen=True, slots=True)
class Entrypoint(_Command):
    pass


@dataclass(frozen=True, slots=True)
class Run(_Command):
    heredocs: tuple[Heredoc, ...] = ()
    mount_options: tuple[str, ...] = ()
    network: str = "default"
    """default, none or host."""
    security: str = "sandbox"
    """sandbox or insecure."""

    def mounts(self, variables: Variables) -> tuple[mounts.Mount, ...]:
        """Raises DockerfileError, with the lines."""
        try:
            return tuple(mounts.parse(options, variables) for options in self.mount_options)
        except DockerfileError as error:
            raise error.at(self.lines.first, self.lines.last) from None

    @property
    def script(self) -> Inline | None:
        """A lone heredoc that starts with `#!`: a file, to be made and run instead of a command."""
        heredoc = self._lone_heredoc()
        if heredoc is None or not heredoc.chomped.startswith("#!"):
            return None
        return Inline(heredoc.name, heredoc.chomped, False)

    def line(self, shell: Sequence[str]) -> list[str]:
        """Not to be used if there is a `script`."""
        if not self.heredocs:
            return _Command.line(self, shell)
        lone = self._lone_heredoc()
        if lone is not None:
            return [*shell, lone.chomped]
        documents = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in self.heredocs)
        return [*shell, " ".join(self.words) + documents]

    def _lone_heredoc(self) -> Heredoc | None:
        if not self.heredocs or len(self.words) != 1 or as_heredoc(self.words[0]) is None:
            return None
        return self.heredocs[0]


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    words: tuple[str, ...]
    """See `ports.exposed` for what they mean."""

    def _expanded(self, variables: Variables) -> Self:
        return replace(self, words=tuple(part for word in self.words for part in variables.words(word)))


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    paths: tuple[str, ...]

    def _expanded(self, variables: Variables) -> Self:
        paths = tuple(variables.word(path) for path in self.paths)
        if not all(paths):
            raise DockerfileError("VOLUME specified can not be an empty string")
        return replace(self, paths=paths)


@dataclass(frozen=True, slots=True)
class _Text(Instruction):
    text: str


@dataclass(frozen=True, slots=True)
class _ExpandedText(_Text):
    def _expanded(self, variables: Variables) -> Self:
        return replace(self, text=variables.word(self.text))


@dataclass(frozen=True, slots=True)
class Workdir(_ExpandedText):
    pass


@dataclass(frozen=True, slots=True)
class User(_ExpandedText):
    pass


@dataclass(frozen=True, slots=True)
class Stopsignal(_ExpandedText):
    pass


@dataclass(frozen=True, slots=True)
class Maintainer(_Text):
    pass


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    test: tuple[str, ...]
    """As in the image's configuration: `NONE`, `CMD` and words, or `CMD-SHELL` and a text."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Onbuild(Instruction):
    expression: str
    """The instruction to come, for the image's configuration."""
    trigger: Node


def _expanded_pairs(pairs: tuple[Pair, ...], variables: Variables) -> tuple[Pair, ...]:
    return tuple(Pair(variables.word(pair.key), variables.word(pair.value), pair.legacy) for pair in pairs)


def _expanded_inline(inline: Inline, variables: Variables) -> Inline:
    return inline._replace(content=variables.content(inline.content)) if inline.expand else inline


@dataclass(frozen=True, slots=True)
class Stage:
    number: int
    origin: From
    instructions: tuple[Instruction, ...]
    description: str = ""

    @property
    def name(self) -> str:
        return self.origin.stage


def base_stage(stages: Sequence[Stage], number: int, base: str) -> Stage | None:
    """The stage that `FROM base`, itself stage `number`, builds on: the last earlier one of that name."""
    for stage in reversed(stages[:number]):
        if stage.name and stage.name == base:
            return stage
    return None


def find_stage(stages: Sequence[Stage], reference: str) -> Stage | None:
    """What `--from=reference`, or `--target`, means, or None if it is no stage. Raises DockerfileError."""
    if expand(reference, {}) != reference:
        raise DockerfileError(
            "variable expansion is not supported for --from, "
            "define a new stage with FROM using ARG from global scope as a workaround"
        )
    if re.fullmatch(r"[+-]?[0-9]{1,18}", reference):
        if not 0 <= int(reference) < len(stages):
            raise DockerfileError(f"invalid stage index {int(reference)}")
        return stages[int(reference)]
    for stage in reversed(stages):
        if stage.name and stage.name == reference.lower():
            return stage
    return None
