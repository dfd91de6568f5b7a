"""`docker build --call`: what a Dockerfile says of itself, without building it.

Each answer is given twice, in JSON with BuildKit's names (frontend/subrequests) and as a table to print.
"""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from argosy.build import arguments, lint
from argosy.build.builder import Build
from argosy.build.complain import DockerfileError, excerpt
from argosy.build.dockerfile import parse
from argosy.build.graph import Options
from argosy.build.instructions import Arg, Copy, Lines, Run, Stage, base_stage, find_stage
from argosy.build.interpret import stages
from argosy.build.words import Variables
from argosy.errors import InvalidParameter

DESCRIBE = "frontend.subrequests.describe"
_VERSION = b"1.0.0"
_KNOWN = {
    "frontend.outline": "List all parameters current build target supports",
    "frontend.targets": "List all targets current build supports",
    DESCRIBE: "List available subrequest types",
}
Answer = dict[str, bytes]
Row = Sequence[str]


def describe() -> Answer:
    """Which there are."""
    document = [
        {
            "name": name,
            "version": _VERSION.decode(),
            "type": "rpc",
            "description": text,
            "opts": [{"name": "target", "description": "Target build stage"}] if "outline" in name else [],
            "metadata": [
                {"name": "result.json", "description": ""},
                {"name": "result.txt", "description": ""},
            ],
        }
        for name, text in _KNOWN.items()
    ]
    rows = [(name.removeprefix("frontend."), _VERSION.decode(), text) for name, text in _KNOWN.items()]
    return _answer(document, _table([("NAME", "VERSION", "DESCRIPTION"), *rows], pad=1))


def answer(name: str, build: Build) -> Answer:
    """Raises InvalidParameter, DockerfileError."""
    match name:
        case "frontend.outline":
            return _outline(build)
        case "frontend.targets":
            return _targets(build)
        case "frontend.lint":
            return _lint(build)
    raise InvalidParameter(f"unsupported request {name!r}", hint=f"There are: {', '.join(_KNOWN)}.")


def _answer(document: Any, text: str) -> Answer:
    encoded = msgspec.json.format(msgspec.json.encode(document), indent=2)
    return {"result.json": encoded, "result.txt": text.encode(), "version": _VERSION}


# What a target takes


def _outline(build: Build) -> Answer:
    dockerfile = parse(build.request.dockerfile, build.request.name)
    options = build.request.options
    global_arguments, found = stages(dockerfile)
    target = _target(found, options.target)
    predefined = arguments.predefined(
        options.build_platform, options.platform, target.name, options.build_args
    )
    values = arguments.global_values(global_arguments, predefined, options.build_args, dockerfile.escape)
    needed = sorted(_needed(found, target), key=lambda stage: stage.number)
    args = [entry for stage in needed for entry in _arguments(stage, options, values, dockerfile.escape)]
    mounts = [
        (each.lines, mount)
        for stage in needed
        for each in stage.instructions
        if isinstance(each, Run)
        for mount in each.mounts(Variables({}, dockerfile.escape))
    ]
    secrets = [_entry(m.secret_id, lines, required=m.required) for lines, m in mounts if m.type == "secret"]
    agents = [_entry(m.ssh_id, lines, required=m.required) for lines, m in mounts if m.type == "ssh"]
    document: dict[str, Any] = {
        "name": target.origin.stage_as_written or target.name,
        "description": target.description,
        "args": args,
        "secrets": secrets,
        "ssh": agents,
        "sources": _sources(build),
    }
    text = "".join(
        f"{title:<13}{document[key]}\n"
        for title, key in (("TARGET:", "name"), ("DESCRIPTION:", "description"))
        if document[key]
    )
    text += "\n" if text else ""
    rows = [(each["name"], each.get("value", ""), each.get("description", "")) for each in args]
    text += _section(("BUILD ARG", "VALUE", "DESCRIPTION"), rows)
    for title, entries in (("SECRET", secrets), ("SSH", agents)):
        text += _section(
            (title, "REQUIRED"), [(e["name"], "true" if e.get("required") else "") for e in entries]
        )
    return _answer({key: value for key, value in document.items() if value}, text)


def _arguments(
    stage: Stage, options: Options, global_values: dict[str, str], escape: str
) -> Iterator[dict[str, Any]]:
    known: dict[str, str] = {}
    for each in stage.instructions:
        if not isinstance(each, Arg):
            continue
        for definition in each.definitions:
            variables = Variables(known, escape)
            value = arguments.stage_value(each, definition, options.build_args, global_values, variables)
            known[definition.name] = value or ""
            more = {"description": definition.description, "value": value}
            yield _entry(definition.name, each.lines, **more)


def _needed(found: Sequence[Stage], target: Stage) -> set[Stage]:
    needed: set[Stage] = set()
    pending = [target]
    while pending:
        stage = pending.pop()
        if stage in needed:
            continue
        needed.add(stage)
        others = [base_stage(found, stage.number, stage.origin.base)]
        for each in stage.instructions:
            if isinstance(each, Copy) and each.from_:
                others.append(_stage_or_none(found[: stage.number], each.from_))
        pending += [other for other in others if other is not None]
    return needed


def _stage_or_none(found: Sequence[Stage], name: str) -> Stage | None:
    try:
        return find_stage(found, name)
    except DockerfileError:
        return None


# The targets


def _targets(build: Build) -> Answer:
    dockerfile = parse(build.request.dockerfile, build.request.name)
    _, found = stages(dockerfile)
    targets = []
    for stage in found:
        name = stage.origin.stage_as_written or stage.name
        more = {"default": stage is found[-1], "description": stage.description, "base": stage.origin.base}
        targets.append(_entry(name, stage.origin.lines, **more))
    rows = [
        (
            (f"{e.get('name', '')} (default)" if e.get("default") else e["name"]).strip(),
            e.get("description", ""),
        )
        for e in targets
    ]
    return _answer(
        {"targets": targets, "sources": _sources(build)}, _table([("TARGET", "DESCRIPTION"), *rows], pad=1)
    )


def _target(found: Sequence[Stage], name: str) -> Stage:
    stage = find_stage(found, name) if name else found[-1]
    if stage is None:
        raise DockerfileError(f'target stage "{name}" could not be found')
    return stage


# The checks


def _lint(build: Build) -> Answer:
    report = build.check()
    source = {
        "filename": build.request.name,
        "data": base64.b64encode(build.request.dockerfile).decode(),
        "language": "Dockerfile",
    }
    document: dict[str, Any] = {
        "warnings": [_warning(each) for each in report.warnings] or None,
        "sources": [source],
    }
    text = "".join(_shown(build, each) for each in report.warnings)
    if report.error is not None:
        first, last = report.error.first_line, report.error.last_line
        document["buildError"] = {"message": report.error.message, "location": _location(first, last)}
        text += f"\n{report.error.message}\n{excerpt(build.source(), first, last, build.request.name)}"
    failed = bool(report.warnings or report.error)
    return {**_answer(document, text), "result.statuscode": b"1" if failed else b"0"}


def _warning(warning: lint.Warning) -> dict[str, Any]:
    return {
        "ruleName": warning.rule,
        "description": warning.description,
        "url": warning.url,
        "detail": warning.message,
        "location": _location(warning.first_line, warning.last_line),
    }


def _shown(build: Build, warning: lint.Warning) -> str:
    lines = excerpt(build.source(), warning.first_line, warning.last_line, build.request.name)
    return f"\nWARNING: {warning.rule} - {warning.url}\n{warning.message}\n{lines}"


# Shapes


def _entry(name: str, lines: Lines, **more: Any) -> dict[str, Any]:
    """Without what is empty, as Go's clients leave it out."""
    entry = {"name": name, **more, "location": _location(lines.first, lines.last)}
    return {key: value for key, value in entry.items() if value}


def _location(first: int, last: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": first}, "end": {"line": last}}]} if first else {}


def _sources(build: Build) -> list[str]:
    return [base64.b64encode(build.request.dockerfile).decode()]


def _section(titles: Row, rows: Sequence[Row]) -> str:
    return _table([titles, *rows], pad=3) + "\n" if rows else ""


def _table(rows: Sequence[Row], pad: int) -> str:
    """Columns as Go's tabwriter sets them: all but the last padded."""
    widths = [max(len(row[column]) for row in rows) + pad for column in range(len(rows[0]) - 1)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[-1] + "\n"
        for row in rows
    )
