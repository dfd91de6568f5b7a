"""Syntax tree → typed instructions and stages, refusing in BuildKit's words what makes no sense."""

import re
from collections.abc import Callable

from argosy.build import mounts
from argosy.build.complain import DockerfileError, suggestion
from argosy.build.dockerfile import KEYWORDS, Dockerfile, Node, as_heredoc
from argosy.build.flags import Flags, integer
from argosy.build.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Definition,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Inline,
    Instruction,
    Label,
    Lines,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stage,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from argosy.build.words import quoted

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_ONBUILD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)


def stages(dockerfile: Dockerfile) -> tuple[list[Arg], list[Stage]]:
    """The ARGs before the first FROM, and the stages. Raises DockerfileError."""
    arguments: list[Arg] = []
    found: list[tuple[From, list[Instruction]]] = []
    for node in dockerfile.nodes:
        read = instruction(node)
        if isinstance(read, From):
            found.append((read, []))
        elif found:
            found[-1][1].append(read)
        elif isinstance(read, Arg):
            arguments.append(read)
        else:
            raise DockerfileError(
                "no build stage in current context",
                node.first_line,
                node.last_line,
                hint="Only ARG may stand before the first FROM",
            )
    if not found:
        raise DockerfileError("dockerfile contains no stages to build", hint="Begin with FROM")
    return arguments, [
        Stage(number, origin, tuple(rest), description(origin.lines.comments, origin.stage))
        for number, (origin, rest) in enumerate(found)
    ]


def instruction(node: Node) -> Instruction:
    """Raises DockerfileError."""
    try:
        read = _READERS.get(node.name)
        if read is None:
            raise DockerfileError(f"unknown instruction: {node.keyword}{_nearest(node.keyword)}")
        return read(node, _lines(node))
    except DockerfileError as error:
        raise error.in_instruction(node.first_line, node.last_line) from None


def description(comments: tuple[str, ...], name: str) -> str:
    """What a comment `# name …` just above says about the thing of that name."""
    if not name:
        return ""
    for comment in comments:
        if comment.startswith(f"{name} "):
            return comment.removeprefix(f"{name} ")
    return ""


def _nearest(keyword: str) -> str:
    nearest = suggestion(keyword, (known.upper() for known in KEYWORDS), ignore_case=True)
    if not nearest:
        return ""
    return f" (did you mean {nearest.lower() if keyword.islower() else nearest}?)"


def _lines(node: Node) -> Lines:
    return Lines(node.keyword, node.original.strip(), node.first_line, node.last_line, node.comments)


def _at_least_one(node: Node) -> DockerfileError:
    return DockerfileError(f"{node.name.upper()} requires at least one argument")


def _single(node: Node) -> str:
    if len(node.arguments) != 1:
        raise DockerfileError(f"{node.name.upper()} requires exactly one argument")
    return node.arguments[0]


def _from(node: Node, lines: Lines) -> From:
    words = node.arguments
    name = ""
    if len(words) == 3 and words[1].lower() == "as":
        name = words[2].lower()
        if not _STAGE_NAME.fullmatch(name):
            raise DockerfileError(
                f"invalid name for build stage: {quoted(words[2])}, "
                "name can't start with a number or contain symbols"
            )
    elif len(words) != 1:
        raise DockerfileError(
            "FROM requires either one or three arguments", hint="FROM image, or FROM image AS name"
        )
    flags = Flags(node.flags, text=["platform"])
    _, keyword, as_written = words if len(words) == 3 else ("", "", "")
    return From(lines, words[0], flags.text("platform"), name, as_written, keyword)


def _env(node: Node, lines: Lines) -> Env:
    _check_pairs(node)
    return Env(lines, node.pairs)


def _label(node: Node, lines: Lines) -> Label:
    _check_pairs(node)
    return Label(lines, node.pairs)


def _check_pairs(node: Node) -> None:
    Flags(node.flags)
    if not node.pairs:
        raise _at_least_one(node)
    if not all(pair.key for pair in node.pairs):
        raise DockerfileError(f"{node.name.upper()} names can not be blank")


def _arg(node: Node, lines: Lines) -> Arg:
    if not node.arguments:
        raise _at_least_one(node)
    definitions: list[Definition] = []
    for word in node.arguments:
        name, equals, default = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        about = description(node.comments, name)
        definitions.append(Definition(name, default if equals else None, about))
    return Arg(lines, tuple(definitions))


_TRANSFER = ("chown", "chmod")


def _copy(node: Node, lines: Lines) -> Copy:
    _need_destination(node)
    flags = Flags(node.flags, text=[*_TRANSFER, "from"], many=["exclude"], switches=["link", "parents"])
    sources, inline, destination = _sources(node)
    return Copy(
        lines,
        sources,
        inline,
        destination,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.switch("link"),
        exclude=flags.many("exclude"),
        from_=flags.text("from"),
        parents=flags.switch("parents"),
    )


def _add(node: Node, lines: Lines) -> Add:
    _need_destination(node)
    flags = Flags(
        node.flags,
        text=[*_TRANSFER, "checksum"],
        many=["exclude"],
        switches=["link", "keep-git-dir", "unpack"],
    )
    sources, inline, destination = _sources(node)
    return Add(
        lines,
        sources,
        inline,
        destination,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=flags.switch("link"),
        exclude=flags.many("exclude"),
        checksum=flags.text("checksum"),
        keep_git_dir=flags.switch("keep-git-dir") if flags.given("keep-git-dir") else None,
        unpack=flags.switch("unpack") if flags.given("unpack") else None,
    )


def _need_destination(node: Node) -> None:
    if len(node.arguments) < 2:
        name = node.name.upper()
        raise DockerfileError(
            f"{name} requires at least two arguments, but only one was provided. "
            "Destination could not be determined",
            hint=f"Say where to put it, for example: {name} {' '.join(node.arguments) or 'source'} ./",
        )


def _sources(node: Node) -> tuple[tuple[str, ...], tuple[Inline, ...], str]:
    *words, destination = node.arguments
    if _is_heredoc(destination):
        raise DockerfileError(f"{node.name.upper()} cannot accept a heredoc as a destination")
    sources: list[str] = []
    inline: list[Inline] = []
    documents = {heredoc.name: heredoc for heredoc in node.heredocs}
    for word in words:
        heredoc = as_heredoc(word) if _is_heredoc(word) else None
        if heredoc is None:
            sources.append(word)
            continue
        if heredoc.name in documents:
            heredoc = heredoc._replace(content=documents[heredoc.name].content)
        inline.append(Inline(heredoc.name, heredoc.chomped, heredoc.expand))
    return tuple(sources), tuple(inline), destination


def _is_heredoc(word: str) -> bool:
    try:
        return as_heredoc(word) is not None
    except DockerfileError:
        return False


def _run(node: Node, lines: Lines) -> Run:
    flags = Flags(node.flags, text=["network", "security"], many=["mount", "device"])
    if flags.many("device"):
        raise DockerfileError("device feature is only supported in Dockerfile frontend 1.14.0-labs or later")
    network = _choice(flags, "network", "network mode", ("default", "none", "host"))
    security = _choice(flags, "security", "security mode", ("sandbox", "insecure"))
    for options in flags.many("mount"):
        mounts.check(options)
    return Run(lines, node.arguments, not node.is_json, node.heredocs, flags.many("mount"), network, security)


def _choice(flags: Flags, name: str, what: str, allowed: tuple[str, ...]) -> str:
    """The first one allowed is the default."""
    if not flags.given(name):
        return allowed[0]
    if flags.text(name) not in allowed:
        raise DockerfileError(
            f"invalid {what} {quoted(flags.text(name))}", hint=f"One of {', '.join(allowed)}"
        )
    return flags.text(name)


def _cmd(node: Node, lines: Lines) -> Cmd:
    Flags(node.flags)
    return Cmd(lines, node.arguments, not node.is_json)


def _entrypoint(node: Node, lines: Lines) -> Entrypoint:
    Flags(node.flags)
    return Entrypoint(lines, node.arguments, not node.is_json)


def _expose(node: Node, lines: Lines) -> Expose:
    if not node.arguments:
        raise _at_least_one(node)
    Flags(node.flags)
    return Expose(lines, tuple(sorted(node.arguments)))


def _volume(node: Node, lines: Lines) -> Volume:
    if not node.arguments:
        raise _at_least_one(node)
    Flags(node.flags)
    paths = tuple(path.strip() for path in node.arguments)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(lines, paths)


def _user(node: Node, lines: Lines) -> User:
    text = _single(node)
    Flags(node.flags)
    return User(lines, text)


def _workdir(node: Node, lines: Lines) -> Workdir:
    text = _single(node)
    Flags(node.flags)
    return Workdir(lines, text)


def _maintainer(node: Node, lines: Lines) -> Maintainer:
    text = _single(node)
    Flags(node.flags)
    return Maintainer(lines, text)


def _stopsignal(node: Node, lines: Lines) -> Stopsignal:
    return Stopsignal(lines, _single(node))


def _shell(node: Node, lines: Lines) -> Shell:
    Flags(node.flags)
    if not node.arguments:
        raise _at_least_one(node)
    if not node.is_json:
        raise DockerfileError(
            "SHELL requires the arguments to be in JSON form", hint='For example: SHELL ["/bin/bash", "-c"]'
        )
    return Shell(lines, node.arguments)


def _healthcheck(node: Node, lines: Lines) -> Healthcheck:
    if not node.arguments:
        raise _at_least_one(node)
    kind, *words = node.arguments
    kind = kind.upper()
    if kind == "NONE":
        if words:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(lines, ("NONE",))
    flags = Flags(node.flags, text=["interval", "timeout", "start-period", "start-interval", "retries"])
    if kind != "CMD":
        raise DockerfileError(f"Unknown type {quoted(kind)} in HEALTHCHECK (try CMD)")
    if not words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    return Healthcheck(
        lines,
        ("CMD" if node.is_json else "CMD-SHELL", *words),
        interval=flags.interval("interval"),
        timeout=flags.interval("timeout"),
        start_period=flags.interval("start-period"),
        start_interval=flags.interval("start-interval"),
        retries=_retries(flags.text("retries")),
    )


def _retries(text: str) -> int:
    retries = integer(text) if text else 0
    if retries < 0:
        raise DockerfileError(f"--retries cannot be negative ({retries})")
    return retries


def _onbuild(node: Node, lines: Lines) -> Onbuild:
    if node.trigger is None:
        raise _at_least_one(node)
    Flags(node.flags)
    name = node.trigger.name.upper()
    if name == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if name in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{name} isn't allowed as an ONBUILD trigger")
    expression = _ONBUILD.sub("", node.original, count=1)
    documents = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs)
    return Onbuild(lines, expression + documents, node.trigger)


_READERS: dict[str, Callable[[Node, Lines], Instruction]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "from": _from,
    "healthcheck": _healthcheck,
    "label": _label,
    "maintainer": _maintainer,
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": _stopsignal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}
