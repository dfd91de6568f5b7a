"""`argosy build`."""

from __future__ import annotations

import os
import sys

from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from argosy.cli.building.display import Display
    from argosy.cli.building.outputs import Outputs
    from argosy.cli.building.source import BuildSource
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] PATH | URL | -",
    "Build an image from a Dockerfile",
    """
      --add-host host               Add a custom host-to-IP mapping (host:ip)
      --allow strings               Rights that steps may have (network.host, security.insecure)
      --attest list                 Attest something of the result (type=provenance,mode=max or type=sbom)
      --build-arg list              Set build-time variables
      --build-context list          Additional build contexts (name=path)
      --cache-from list             Caches to use (NAME or type=local,src=DIRECTORY)
      --cache-to list               Where the cache goes (inline, registry,ref=NAME or local,dest=DIRECTORY)
      --check                       Check the Dockerfile and build nothing
      --debug                       Open a shell in what a failed RUN has left
      --explain                     Say for each step why it ran, and how more could have stayed cached
  -f, --file string                 Name of the Dockerfile (default: PATH/Dockerfile)
      --iidfile string              Write the image ID to a file
      --label label                 Set metadata for an image
      --load                        Keep the image here, whatever other outputs there are
      --metadata-file string        Write build result metadata to a file
      --network string              Networking mode for the RUN instructions: default, none or host
      --no-cache                    Do not use the cache
      --no-cache-filter strings     Do not use the cache for these stages
  -o, --output list                 Output destination (type=local,dest=path)
      --platform string             Platform of the image, as os/arch; several with commas
      --progress string             How progress is shown: auto, plain, tty, rawjson or quiet (default "auto")
      --provenance string           Attest how it was made (true, mode=min, mode=max)
      --pull                        Always attempt to pull newer base images
      --push                        Push the image
  -q, --quiet                       Print nothing but the image ID
      --rm                          Accepted for compatibility (default true)
      --force-rm                    Accepted for compatibility
      --sbom string                 Attest which packages are in it (true)
      --secret list                 Secret to expose to the build (id=NAME[,src=FILE|,env=VARIABLE])
      --shm-size bytes              Size of /dev/shm of RUN instructions
      --ssh list                    SSH agent to expose to the build (default or ID[=SOCKET])
  -t, --tag list                    Name and optionally a tag (name:tag)
      --target string               The stage to build
      --ulimit ulimit               Ulimit options
""",
    arguments=(1, 1),
    also="argosy image build, argosy build, argosy builder build",
)
_EVENTS = 1
_NOT_HERE = 412
_EPOCH = "SOURCE_DATE_EPOCH"
_MODES = ("auto", "plain", "tty", "rawjson", "quiet", "none")


def run(context: Context, options: Options, arguments: list[str]) -> int:
    from argosy.cli.building.outputs import Outputs
    from argosy.cli.building.source import BuildSource

    mode = options.text("progress")
    if mode not in _MODES:
        raise Failure(f"invalid progress mode {mode!r}\nIt is one of {', '.join(_MODES)}")
    source = BuildSource(arguments[0], options.text("file"), options.many("build-context"))
    outputs = Outputs(options.many("output"), push=options.on("push"), load=options.on("load"))
    outputs.add_caches(options.many("cache-to"))
    document = _document(options, outputs)
    display = _display("quiet" if options.on("quiet") or options.on("check") else mode)
    try:
        last = _show(_frames(context, source, document), display, outputs)
        display.close(done=last["type"] == "done")
    except BaseException:
        outputs.abandon()
        raise
    if last["type"] == "failed":
        outputs.abandon()
        if last.get("remains"):
            return _shell(context, display.fail(last), last["remains"])
        raise Failure(display.fail(last))
    outputs.finish()
    return _finished(options, last, display)


def _document(options: Options, outputs: Outputs) -> dict[str, Any]:
    from argosy.cli.building.attestations import attestations
    from argosy.cli.building.inputs import agents, secrets
    from argosy.cli.building.outputs import cache_sources
    from argosy.cli.credentials import all_logins

    return {
        "buildArgs": _build_arguments(options.many("build-arg")),
        "labels": dict(text.partition("=")[::2] for text in options.many("label")),
        "target": options.text("target"),
        "platform": options.text("platform"),
        "attest": attestations(options.many("attest"), options.text("provenance"), options.text("sbom")),
        "tags": options.many("tag"),
        "noCache": options.on("no-cache"),
        "noCacheFilter": options.many("no-cache-filter"),
        "pull": options.on("pull"),
        "network": options.text("network"),
        "hosts": options.many("add-host"),
        "shmSize": options.number("shm-size"),
        "allow": _granted(options),
        "ulimits": [f"{u['Name']}={u['Soft']}:{u['Hard']}" for u in options.values("ulimit")],
        "secrets": secrets(options.many("secret")),
        "ssh": agents(options.many("ssh")),
        "auth": all_logins(),
        "outputs": outputs.documents,
        "cacheFrom": cache_sources(options.many("cache-from")),
        "cacheTo": outputs.caches,
        "inlineCache": outputs.is_cache_inline,
        "push": options.on("push"),
        "check": options.on("check"),
        "debug": options.on("debug"),
        "explain": options.on("explain"),
    }


def _granted(options: Options) -> list[str]:
    """Who builds in the host's network grants it, as with buildx."""
    granted = options.many("allow")
    return [*granted, "network.host"] if options.text("network") == "host" else granted


def _build_arguments(texts: list[str]) -> dict[str, str]:
    """A name alone takes its value from the environment, if it has one there."""
    found = {_EPOCH: os.environ[_EPOCH]} if os.environ.get(_EPOCH) else {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _display(mode: str) -> Display:
    from argosy.cli.building import display

    output = sys.stderr
    if mode in ("quiet", "none"):
        return display.Quiet(output)
    if mode == "rawjson":
        return display.Raw(output)
    if mode == "tty" or (mode == "auto" and output.isatty()):
        from argosy.cli.building.live import Live
        from argosy.cli.terminal import size

        rows, columns = size(output.fileno()) or (24, 80)
        return Live(output, rows, columns)
    return display.Plain(output)


def _frames(context: Context, source: BuildSource, document: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
    from argosy.client.errors import APIError

    is_elsewhere = source.is_in_place and not context.host.startswith("unix://")
    if not is_elsewhere:
        try:
            yield from _framed(_request(context, source, document))
        except APIError as error:
            if error.status != _NOT_HERE or not source.is_in_place:
                raise
        else:
            return
    with source.offered(context):
        yield from _framed(_request(context, source, document))


def _framed(pieces: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    head = b""
    for piece in pieces:
        head += piece
        position = 0
        while len(head) - position >= 8:
            size = int.from_bytes(head[position + 4 : position + 8], "big")
            if len(head) - position - 8 < size:
                break
            yield head[position], head[position + 8 : position + 8 + size]
            position += 8 + size
        head = head[position:]


def _request(context: Context, source: BuildSource, document: dict[str, Any]) -> Iterable[bytes]:
    import json

    line = json.dumps({**document, **source.document}).encode() + b"\n"
    body: Any = line if source.body is None else _joined(line, source.body)
    headers = ("Content-Type: application/json",)
    return context.client.call("POST", "/builds", None, body, headers).pieces()


def _joined(line: bytes, body: Iterable[bytes]) -> Iterator[bytes]:
    yield line
    yield from body


def _show(frames: Iterable[tuple[int, bytes]], display: Display, outputs: Outputs) -> dict[str, Any]:
    """The last event: it is done, or has failed."""
    import json

    for stream, data in frames:
        if stream != _EVENTS:
            outputs.write(stream, data)
            continue
        event: dict[str, Any] = json.loads(data)
        if event["type"] in ("done", "failed"):
            return event
        display.show(event)
    return {"type": "failed", "message": "the engine ended before the build did"}


def _finished(options: Options, last: dict[str, Any], display: Display) -> int:
    if options.on("check"):
        return _report_check(display)
    image = last.get("image", "")
    if options.text("iidfile"):
        _write(options.text("iidfile"), image)
    if options.text("metadata-file"):
        import json

        _write(options.text("metadata-file"), json.dumps(last.get("metadata", {}), indent=2))
    if options.on("quiet") and image:
        print(image)
    if last.get("explanation"):
        from argosy.cli.building.explanation import lines

        print("\n".join(lines(last["explanation"])))
    return 0


def _shell(context: Context, failure: str, image: str) -> int:
    """In a container of what the failed step has left, which goes with the shell."""
    from argosy.cli.container.run import COMMAND as RUN
    from argosy.cli.container.run import run as run_container
    from argosy.cli.flags import Parser

    sys.stderr.write(f"{failure}\n\nA shell in what the step has left; exit to end.\n")
    sys.stderr.flush()
    words = ["--rm", "-i", *(["-t"] if sys.stdin.isatty() else []), image]
    try:
        run_container(context, *Parser(RUN).parse(words))
    finally:
        context.client.remove_image(image, force=True)
    return 1


def _report_check(display: Display) -> int:
    count = len(display.warnings)
    if not count:
        print("Check complete, no warnings found.")
        return 0
    found = "1 warning has" if count == 1 else f"{count} warnings have"
    print(f"Check complete, {found} been found!")
    for warning in display.warnings:
        print(f"\nWARNING: {warning.get('rule', '')} - {warning.get('url', '')}")
        print(warning["message"].partition(": ")[2].rpartition(" (line ")[0])
        print(warning.get("excerpt", ""), end="")
    return 1


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None
