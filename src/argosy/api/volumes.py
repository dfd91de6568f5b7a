"""/volumes and /networks."""

import time

from argosy.api.http import Request, Response, document, no_content
from argosy.api.router import Router
from argosy.engine.core import Engine
from argosy.engine.listing import boolean, has_labels
from argosy.engine.mounts import check_driver
from argosy.errors import Forbidden, InvalidParameter, NotImplementedYet
from argosy.spec.docker_network import VolumeCreate, VolumeList, VolumeReport
from argosy.volume import usage
from argosy.volume.store import Volume

_PRUNE_FILTERS = {"all", "label", "label!"}
_VOLUME_FILTERS = {"dangling", "driver", "label", "name"}


class Volumes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def route(self, router: Router) -> None:
        router.add("GET", "/volumes", self.index)
        router.add("POST", "/volumes/create", self.create)
        router.add("POST", "/volumes/prune", self.prune)
        router.add("GET", "/volumes/{name}", self.inspect)
        router.add("DELETE", "/volumes/{name}", self.remove)

    async def index(self, request: Request) -> Response:
        filters = request.filters()
        for key in filters:
            if key not in _VOLUME_FILTERS:
                raise InvalidParameter(f"invalid filter '{key}'")
        boolean(filters, "dangling")
        found = [volume for volume in self._engine.volumes.all() if self._matches(volume, filters)]
        return document(VolumeList([_report(volume) for volume in found]))

    def _matches(self, volume: Volume, filters: dict[str, list[str]]) -> bool:
        if "driver" in filters and "local" not in filters["driver"]:
            return False
        if "name" in filters and not any(name in volume.name for name in filters["name"]):
            return False
        if not has_labels(volume.labels, filters.get("label", [])):
            return False
        if "dangling" in filters:
            wanted = filters["dangling"][0].lower() in ("true", "1")
            return wanted == (not self._engine.volume_users(volume.name))
        return True

    async def create(self, request: Request) -> Response:
        body = await request.json(VolumeCreate)
        check_driver(body.driver, body.name)
        volume, created = await self._engine.in_thread(
            self._engine.volumes.create, body.name, body.labels, body.driver_opts
        )
        if created:
            self._engine.events.publish("volume", "create", volume.name, {"driver": "local"})
        return document(_report(volume), 201)

    async def inspect(self, request: Request) -> Response:
        return document(_report(self._engine.volumes.get(request.parameters["name"])))

    async def remove(self, request: Request) -> Response:
        name = request.parameters["name"]
        if request.flag("force") and not self._engine.volumes.exists(name):
            return no_content()
        await self._engine.in_thread(self._engine.volumes.remove, name, self._engine.volume_users)
        self._engine.events.publish("volume", "destroy", name, {"driver": "local"})
        return no_content()

    async def prune(self, request: Request) -> Response:
        filters = request.filters()
        for key in filters:
            if key not in _PRUNE_FILTERS:
                raise InvalidParameter(f"invalid filter '{key}'")
        text = filters.get("all", ["false"])[0]
        every = text.lower() in ("true", "1", "t")
        if not every and text.lower() not in ("false", "0", "f"):
            raise InvalidParameter(
                f"invalid filter 'all': strconv.ParseBool: parsing \"{text}\": invalid syntax"
            )
        deleted = []
        reclaimed = 0
        for volume in self._engine.volumes.all():
            # What options mount from elsewhere is not this host's to prune.
            if volume.options or self._engine.volume_users(volume.name) or not (every or volume.anonymous):
                continue
            unwanted = filters.get("label!", [])
            if unwanted and has_labels(volume.labels, unwanted):
                continue
            if has_labels(volume.labels, filters.get("label", [])):
                size = await self._engine.in_thread(usage.size, volume.path)
                await self._engine.in_thread(
                    self._engine.volumes.remove, volume.name, self._engine.volume_users
                )
                deleted.append(volume.name)
                reclaimed += size
        self._engine.events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return document({"VolumesDeleted": deleted, "SpaceReclaimed": reclaimed})


def _report(volume: Volume) -> VolumeReport:
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(volume.created // 1_000_000_000))
    return VolumeReport(
        created, "local", volume.labels or None, volume.path, volume.name, volume.options or None
    )


class NetworkRoutes:
    """The three networks that every engine has."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def route(self, router: Router) -> None:
        router.add("GET", "/networks", self.index)
        router.add("GET", "/networks/{id}", self.inspect)
        router.add("DELETE", "/networks/{id}", self.remove)
        router.add("POST", "/networks/create", self.create)
        router.add("POST", "/networks/prune", self.prune)

    async def index(self, request: Request) -> Response:
        filters = request.filters()
        found = [self._engine.networks.describe(name, []) for name in self._engine.networks.names()]
        for key, values in filters.items():
            if key == "name":
                found = [network for network in found if any(value in network.name for value in values)]
            elif key == "driver":
                found = [network for network in found if network.driver in values]
            elif key == "id":
                found = [network for network in found if any(network.id.startswith(v) for v in values)]
            elif key == "type":
                for value in values:
                    if value not in ("builtin", "custom"):
                        raise InvalidParameter(f"invalid filter: 'type'='{value}'")
                found = found if "builtin" in values else []
            elif key == "scope":
                found = found if "local" in values else []
            elif key == "dangling":
                if not set(values) <= {"true", "1", "false", "0"}:
                    raise InvalidParameter(
                        'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'
                    )
                # Those that every engine has are never unused.
                found = found if values[0] in ("false", "0") else []
            elif key == "label":
                found = []
            else:
                raise InvalidParameter(f"invalid filter '{key}'")
        return document(found)

    async def inspect(self, request: Request) -> Response:
        name = self._engine.networks.find(request.parameters["id"])
        return document(self._engine.networks.describe(name, self._engine.containers.all()))

    async def remove(self, request: Request) -> Response:
        name = self._engine.networks.find(request.parameters["id"])
        raise Forbidden(f"{name} is a pre-defined network and cannot be removed")

    async def create(self, request: Request) -> Response:
        raise NotImplementedYet(
            "networks of one's own are not supported", hint="Use bridge, host, none or container:NAME."
        )

    async def prune(self, request: Request) -> Response:
        for key in request.filters():
            if key not in ("label", "label!", "until"):
                raise InvalidParameter(f"invalid filter '{key}'")
        return document({"NetworksDeleted": None})
