"""Images as the Engine API shows them: inspect and history."""

from msgspec import UNSET

from argosy.errors import NotFound
from argosy.image import digest as digests
from argosy.image.catalog import Catalog
from argosy.image.goformat import parse_time
from argosy.image.record import ImageRecord
from argosy.image.snapshot import Snapshotter
from argosy.spec import docker_image, oci_image
from argosy.units import NANOSECONDS, rfc3339

_MISSING = "<missing>"
# Go's zero time in Unix seconds: what Docker shows for a step of unknown age.
_ZERO_TIME = -62135596800


def inspect(record: ImageRecord, snapshotter: Snapshotter) -> docker_image.ImageInspect:
    document = record.document
    return docker_image.ImageInspect(
        id=record.id,
        repo_tags=list(record.tags),
        repo_digests=list(record.digests),
        parent=record.parent,
        comment=_comment(document),
        docker_version=document.docker_version,
        author=document.author,
        config=_config(record.config),
        architecture=document.architecture,
        os=document.os or "linux",
        size=record.size,
        graph_driver=_graph_driver(record, snapshotter),
        root_fs=docker_image.RootFS(document.rootfs.type, document.rootfs.diff_ids or UNSET),
        metadata=docker_image.Metadata(rfc3339(record.last_tagged)),
        created=document.created or UNSET,
        variant=document.variant or UNSET,
        os_version=document.os_version or UNSET,
    )


def _comment(document: oci_image.Image) -> str:
    if document.comment or not document.history:
        return document.comment
    return document.history[-1].comment


def _config(config: oci_image.ImageConfig) -> docker_image.InspectConfig:
    return docker_image.InspectConfig(
        cmd=config.cmd,
        entrypoint=config.entrypoint,
        env=config.env,
        labels=config.labels,
        on_build=config.on_build,
        user=config.user,
        volumes=config.volumes,
        working_dir=config.working_dir,
        exposed_ports=config.exposed_ports or UNSET,
        healthcheck=config.healthcheck or UNSET,
        shell=config.shell or UNSET,
        stop_signal=config.stop_signal or UNSET,
        args_escaped=config.args_escaped or UNSET,
    )


def _graph_driver(record: ImageRecord, snapshotter: Snapshotter) -> docker_image.GraphDriver:
    data: dict[str, str] = {}
    if record.chain_id is not None:
        try:
            data = snapshotter.describe(record.chain_id)
        except NotFound:
            data = {}
    return docker_image.GraphDriver(snapshotter.driver, data)


def history(
    record: ImageRecord, catalog: Catalog, snapshotter: Snapshotter
) -> list[docker_image.HistoryResponseItem]:
    """Newest first. Steps have the IDs of the local images that they made, the newest being this one."""
    items: list[docker_image.HistoryResponseItem] = []
    chains = iter(digests.chain_ids(record.diff_ids))
    for step in record.document.history or []:
        chain = None if step.empty_layer else next(chains, None)
        created = parse_time(step.created)
        items.append(
            docker_image.HistoryResponseItem(
                id=_MISSING,
                created=created // NANOSECONDS if created else _ZERO_TIME,
                created_by=step.created_by,
                tags=None,
                size=snapshotter.usage(chain).size if chain and snapshotter.exists(chain) else 0,
                comment=step.comment,
            )
        )
    items.reverse()
    image: ImageRecord | None = record
    for item in items:
        if image is None:
            break
        item.id = image.id
        item.tags = list(image.tags) or None
        image = catalog.get(image.parent)
    return items
