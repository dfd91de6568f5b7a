"""/auth, /images/search, /distribution: what concerns registries and no image of ours.

`GET` and `PUT /distribution/{name}/manifest` are our own: the manifest as it is, and an index to be put
there, for `argosy manifest`.
"""

import base64
import binascii
from typing import Any

import msgspec

from argosy.api.http import Request, Response, document
from argosy.api.router import Router
from argosy.engine.core import Engine
from argosy.errors import InvalidParameter
from argosy.image import Credentials
from argosy.spec.oci_image import Descriptor, Platform

_AUTH = "x-registry-auth"


class _Index(msgspec.Struct, rename="pascal"):
    """`raw` in base64; `sources` has each manifest's name by digest."""

    raw: str
    sources: dict[str, str] = {}


class _Inspection(msgspec.Struct):
    descriptor: Descriptor = msgspec.field(name="Descriptor")
    platforms: list[Platform] = msgspec.field(name="Platforms")


class RegistryRoutes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._images = engine.images

    def route(self, router: Router) -> None:
        router.add("POST", "/auth", self.auth)
        router.add("GET", "/images/search", self.search)
        router.add("GET", "/distribution/{name*}/json", self.inspect)
        router.add("GET", "/distribution/{name*}/manifest", self.manifest)
        router.add("PUT", "/distribution/{name*}/manifest", self.put_index)

    async def auth(self, request: Request) -> Response:
        fields = await request.json(dict[str, Any])
        credentials = Credentials.from_fields(fields)
        address = str(fields.get("serveraddress") or "")
        token = await self._engine.in_thread(self._images.login, address, credentials)
        return document({"IdentityToken": token, "Status": "Login Succeeded"})

    async def search(self, request: Request) -> Response:
        term = request.query.get("term", "")
        if not term:
            raise InvalidParameter("search term cannot be empty")
        found = await self._engine.in_thread(
            self._images.search, term, request.number("limit"), request.filters(), _credentials(request)
        )
        return document(found)

    async def inspect(self, request: Request) -> Response:
        name, credentials = request.parameters["name"], _credentials(request)

        def work() -> _Inspection:
            manifest = self._images.remote_manifest(name, credentials)
            platforms = self._images.remote_platforms(name, manifest, credentials)
            return _Inspection(
                Descriptor(manifest.media_type, manifest.digest, len(manifest.data)), list(platforms)
            )

        return document(await self._engine.in_thread(work))

    async def manifest(self, request: Request) -> Response:
        name = request.parameters["name"]
        found = await self._engine.in_thread(self._images.remote_manifest, name, _credentials(request))
        headers = [("Content-Type", found.media_type), ("Docker-Content-Digest", found.digest)]
        return Response(found.data, headers=headers)

    async def put_index(self, request: Request) -> Response:
        body = await request.json(_Index)
        try:
            raw = base64.b64decode(body.raw, validate=True)
        except binascii.Error:
            raise InvalidParameter("the index is not in base64") from None
        digest = await self._engine.in_thread(
            self._images.push_index, request.parameters["name"], raw, body.sources, _credentials(request)
        )
        return document({"Digest": digest})


def _credentials(request: Request) -> Credentials:
    return Credentials.from_header(request.headers.get(_AUTH, ""))
