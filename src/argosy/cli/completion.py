"""What may come next on a command line: for the shells' completion, by `argosy __complete WORD… CURRENT`.

A candidate a line, with its description behind a tab. `:files` stands for file names, which the shell
knows better.
"""

from __future__ import annotations

import sys

from argosy.cli import catalogue
from argosy.cli.failure import Failure
from argosy.cli.flags import Flag, read_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from argosy.cli.flags import Command
    from argosy.client.docker import Client

    # The names of things of a kind; empty if the engine does not answer.
    Ask = Callable[[str], list[str]]

FILES = ":files"
_CONTAINERS = "containers"
# A file here, or a container whose file it is.
_PLACES = "places"
# What a command's arguments are: a kind for each, the last one going on, "" for none that can be known.
_ARGUMENTS: dict[str, tuple[str, ...]] = {
    "container.attach": ("running", ""),
    "container.commit": (_CONTAINERS, "images", ""),
    "container.cp": (_PLACES,),
    "container.create": ("images", FILES),
    "container.diff": (_CONTAINERS, ""),
    "container.exec": ("running", FILES),
    "container.export": (_CONTAINERS, ""),
    "container.inspect": (_CONTAINERS,),
    "container.kill": ("running",),
    "container.logs": (_CONTAINERS, ""),
    "container.pause": ("running",),
    "container.port": ("running", ""),
    "container.rename": (_CONTAINERS, ""),
    "container.restart": (_CONTAINERS,),
    "container.rm": (_CONTAINERS,),
    "container.run": ("images", FILES),
    "container.start": ("stopped",),
    "container.stats": ("running",),
    "container.stop": ("running",),
    "container.top": ("running", ""),
    "container.unpause": ("paused",),
    "container.update": (_CONTAINERS,),
    "container.wait": ("running",),
    "contexts.export": ("contexts", FILES),
    "contexts.import_": ("", FILES),
    "contexts.inspect": ("contexts",),
    "contexts.rm": ("contexts",),
    "contexts.update": ("contexts",),
    "contexts.use": ("contexts",),
    "image.history": ("images", ""),
    "image.import_": (FILES, "images", ""),
    "image.inspect": ("images",),
    "image.pull": ("images", ""),
    "image.push": ("images", ""),
    "image.rm": ("images",),
    "image.save": ("images",),
    "image.tag": ("images", "images", ""),
    "network.connect": ("networks", _CONTAINERS, ""),
    "network.disconnect": ("networks", _CONTAINERS, ""),
    "network.inspect": ("networks",),
    "network.rm": ("networks",),
    "system.completion": ("shells", ""),
    "system.inspect": ("objects",),
    "volume.inspect": ("volumes",),
    "volume.rm": ("volumes",),
}
_VALUES: dict[str, tuple[str, ...]] = {
    "attach": ("stdin", "stdout", "stderr"),
    "cgroupns": ("host", "private"),
    "format": ("json", "table"),
    "ipc": ("none", "private", "shareable", "host"),
    "isolation": ("default",),
    "log-driver": ("json-file", "local", "none"),
    "pid": ("host",),
    "pull": ("always", "missing", "never"),
    "restart": ("no", "always", "on-failure", "unless-stopped"),
    "security-opt": tuple(
        "apparmor=unconfined label=disable no-new-privileges seccomp=unconfined "
        "systempaths=unconfined writable-cgroups=true".split()
    ),
    "signal": ("HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"),
    "stop-signal": ("HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"),
    "type": ("container", "image", "network", "volume"),
    "userns": ("host",),
    "uts": ("host",),
}
_FILTERS: dict[str, tuple[str, ...]] = {
    "container.ls": tuple(
        "ancestor before exited expose health id label name network publish since status volume".split()
    ),
    "container.prune": ("label", "label!", "until"),
    "image.ls": ("before", "dangling", "label", "reference", "since", "until"),
    "image.prune": ("dangling", "label", "label!", "until"),
    "network.ls": ("dangling", "driver", "id", "label", "name", "scope", "type"),
    "network.prune": ("label", "label!", "until"),
    "system.events": ("container", "event", "image", "label", "network", "type", "volume"),
    "system.prune": ("label", "label!", "until"),
    "volume.ls": ("dangling", "driver", "label", "name"),
    "volume.prune": ("all", "label", "label!"),
}
_KINDS = {
    "config": FILES,
    "context": "contexts",
    "env-file": FILES,
    "from": "contexts",
    "cidfile": FILES,
    "input": FILES,
    "label-file": FILES,
    "output": FILES,
    "tlscacert": FILES,
    "tlscert": FILES,
    "tlskey": FILES,
    "volume": FILES,
    "net": "networks",
    "network": "networks",
    "volumes-from": _CONTAINERS,
    "link": _CONTAINERS,
}
_OTHER_NETWORKS = ("bridge", "host", "none")
_CAPABILITIES = ("cap-add", "cap-drop")
_SHELLS = ("bash", "fish", "zsh")


def complete(words: list[str]) -> int:
    """The hidden command. It never fails, and never starts the engine."""
    given, current = words[:-1], words[-1] if words else ""
    for name, description in candidates(given, current, _ask):
        sys.stdout.write(f"{name}\t{description}\n" if description else f"{name}\n")
    return 0


def candidates(words: list[str], current: str, ask: Ask) -> list[tuple[str, str]]:
    """(word, description) that `current` begins, after the words already there."""
    return [found for found in _all(words, current, ask) if found[0].startswith(current) or found[0] == FILES]


def _all(words: list[str], current: str, ask: Ask) -> list[tuple[str, str]]:
    from argosy.cli.main import GLOBAL_OPTIONS

    rest, flags, waiting = _after_globals(words, read_flags(GLOBAL_OPTIONS))
    if waiting is not None:
        return _values(waiting, "", ask)
    if not rest:
        if current.startswith("-"):
            return _flag_names(flags, GLOBAL_OPTIONS)
        return _commands()
    noun = rest.pop(0)
    if noun == "help":
        return _commands()
    if noun in catalogue.GROUPS:
        verbs = catalogue.GROUPS[noun]
        if not rest:
            return [(verb, summary) for verb, (_, summary) in verbs.items()]
        verb = rest.pop(0)
        verb = catalogue.VERB_ALIASES.get((noun, verb), verb)
        module = verbs.get(verb, ("", ""))[0]
    else:
        module = catalogue.TOP.get(noun, ("", ""))[0]
    if not module:
        return []
    from argosy.cli.main import load_command

    return _in_command(module, load_command(module), rest, current, ask)


def _after_globals(
    words: list[str], flags: dict[str, Flag]
) -> tuple[list[str], dict[str, Flag], Flag | None]:
    """The words behind the global options, those, and the one whose value comes next."""
    shorts = {flag.short: flag for flag in flags.values() if flag.short}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        flag = flags.get(word[2:]) if word.startswith("--") else shorts.get(word[1:])
        if flag is not None and flag.kind != "bool":
            if not rest:
                return [], flags, flag
            rest.pop(0)
    return rest, flags, None


def _in_command(
    module: str, command: Command, words: list[str], current: str, ask: Ask
) -> list[tuple[str, str]]:
    flags = read_flags(command.options)
    shorts = {flag.short: flag for flag in flags.values() if flag.short}
    arguments = 0
    waiting: Flag | None = None
    ended = False
    for word in words:
        if waiting is not None:
            waiting = None
        elif word == "--" and not ended:
            ended = True
        elif word.startswith("-") and word != "-" and not ended and (command.interspersed or not arguments):
            waiting = _waiting(word, flags, shorts)
        else:
            arguments += 1
    if waiting is not None:
        if waiting.name == "filter":
            return [(f"{key}=", "") for key in _FILTERS.get(module, ())]
        return _values(waiting, "", ask)
    in_flags = not ended and (command.interspersed or not arguments)
    if in_flags and current.startswith("--") and "=" in current:
        name = current[2:].partition("=")[0]
        flag = flags.get(name)
        return _values(flag, f"--{name}=", ask) if flag is not None else []
    if in_flags and current.startswith("-"):
        return _flag_names(flags, command.options)
    kinds = _ARGUMENTS.get(module, ("",))
    most = command.arguments[1]
    if most is not None and arguments >= most:
        return []
    return _named(kinds[min(arguments, len(kinds) - 1)], ask)


def _waiting(word: str, flags: dict[str, Flag], shorts: dict[str, Flag]) -> Flag | None:
    """The option that the next word is the value of."""
    if word.startswith("--"):
        flag = None if "=" in word else flags.get(word[2:])
        return flag if flag is not None and flag.kind != "bool" else None
    for position, letter in enumerate(word[1:], 1):
        flag = shorts.get(letter)
        if flag is None:
            return None
        if flag.kind != "bool":
            return flag if position + 1 == len(word) else None
    return None


def _values(flag: Flag, prefix: str, ask: Ask) -> list[tuple[str, str]]:
    if flag.kind == "bool":
        found = [("true", ""), ("false", "")]
    elif flag.name in _CAPABILITIES:
        from argosy.linux.caps import NAMES

        found = [("ALL", ""), *((name.removeprefix("CAP_"), "") for name in NAMES)]
    elif flag.name in _KINDS:
        found = _named(_KINDS[flag.name], ask)
        if _KINDS[flag.name] == "networks":
            present = {name for name, _ in found}
            found += [(name, "") for name in _OTHER_NETWORKS if name not in present]
    else:
        found = [(value, "") for value in _VALUES.get(flag.name, ())]
    return [(prefix + name if name != FILES else name, description) for name, description in found]


def _named(kind: str, ask: Ask) -> list[tuple[str, str]]:
    if kind in ("", FILES):
        return [(FILES, "")] if kind else []
    if kind == _PLACES:
        return [*((f"{name}:", "") for name in ask(_CONTAINERS)), (FILES, "")]
    if kind == "shells":
        return [(shell, "") for shell in _SHELLS]
    return [(name, "") for name in ask(kind)]


def _commands() -> list[tuple[str, str]]:
    commands = {name: summary for name, (_, summary) in catalogue.TOP.items()}
    return sorted({**commands, **catalogue.GROUP_SUMMARIES, "help": "Explain a command"}.items())


def _flag_names(flags: dict[str, Flag], text: str) -> list[tuple[str, str]]:
    described = {}
    for line in text.splitlines():
        head, _, description = line.strip().partition("  ")
        if head.startswith("-"):
            name = next(word for word in head.replace(",", " ").split() if word.startswith("--"))
            described[name[2:]] = description.strip()
    return [(f"--{name}", described.get(name, "")) for name in flags]


def _ask(kind: str) -> list[str]:
    from argosy.cli.context import Context
    from argosy.client.docker import Client
    from argosy.errors import ArgosyError

    try:
        if kind == "contexts":
            from argosy.cli.contexts import store

            return [store.DEFAULT, *(kept.name for kept in store.all_contexts())]
        client = Client(Context("argosy").address())
        if kind == "images":
            return _image_names(client)
        if kind == "networks":
            return sorted(network["Name"] for network in client.list_networks())
        if kind == "volumes":
            return sorted(volume["Name"] for volume in client.list_volumes())
        names = _container_names(client, kind)
        return names + _image_names(client) if kind == "objects" else names
    except (ArgosyError, Failure, OSError):
        return []


_STATES = {
    "running": '{"status":["running"]}',
    "paused": '{"status":["paused"]}',
    "stopped": '{"status":["created","exited","dead"]}',
}


def _container_names(client: Client, kind: str) -> list[str]:
    query = {"all": "1", "filters": _STATES.get(kind, "{}")}
    found = client.get("/containers/json", query)
    return sorted(name.lstrip("/") for container in found for name in container["Names"])


def _image_names(client: Client) -> list[str]:
    tags = {tag for image in client.list_images() for tag in image.get("RepoTags") or []}
    names = {tag.removesuffix(":latest") for tag in tags if tag.endswith(":latest")}
    return sorted(tags | names)
