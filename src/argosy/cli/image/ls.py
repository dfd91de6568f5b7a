"""`argosy images`."""

from __future__ import annotations

from argosy.cli.failure import Failure
from argosy.cli.flags import Command
from argosy.cli.listing import FORMAT_HELP, show
from argosy.cli.values import filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options
    from argosy.client.docker import Document

COMMAND = Command(
    "[OPTIONS] [REPOSITORY[:TAG]]",
    "List images",
    f"""
  -a, --all             Show all images (default hides intermediate ones)
      --digests         Show digests
  -f, --filter filter   Show only images that match: dangling=true, reference=busybox, label=key …
      {FORMAT_HELP}
      --no-trunc        Don't truncate output
  -q, --quiet           Only show image IDs
      --tree            Show the platforms of each image, too (experimental)
""",
    arguments=(0, 1),
    also="argosy image ls, argosy image list, argosy images",
)
_REPOSITORY, _TAG = ("REPOSITORY", "Repository"), ("TAG", "Tag")
_DIGEST = ("DIGEST", "Digest")
_REST = (("IMAGE ID", "ID"), ("CREATED", "CreatedSince"), ("SIZE", "Size"))


def run(context: Context, options: Options, arguments: list[str]) -> int:
    conditions = list(options.many("filter"))
    if arguments:
        conditions.append(f"reference={arguments[0]}")
    if options.on("tree"):
        return _tree(context, options, conditions)
    found = context.client.list_images(all=options.on("all"), filters=filters(conditions))
    template = options.text("format")
    digests = options.on("digests") or ".Digest" in template
    rows: list[Document] = []
    if found:
        from argosy.cli.image.rows import rows_of

        trunc = not options.on("no-trunc")
        rows = [row for image in found for row in rows_of(image, trunc=trunc, digests=digests)]
    columns = (_REPOSITORY, _TAG, _DIGEST, *_REST) if options.on("digests") else (_REPOSITORY, _TAG, *_REST)
    show(
        columns,
        rows,
        template=template,
        quiet="ID" if options.on("quiet") else "",
        kind="*formatter.imageContext",
    )
    return 0


def _tree(context: Context, options: Options, conditions: list[str]) -> int:
    from argosy.cli.image.tree import show

    for name, called in (
        ("quiet", "quiet"),
        ("no-trunc", "no-trunc"),
        ("digests", "show-digest"),
        ("format", "format"),
    ):
        if options.text(name) if name == "format" else options.on(name):
            raise Failure(f"--{called} is not yet supported with --tree")
    everything = options.on("all")
    show(
        context.client.list_images(all=everything, manifests=True, filters=filters(conditions)),
        everything=everything,
    )
    return 0
