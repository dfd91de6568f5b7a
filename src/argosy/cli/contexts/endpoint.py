"""A context's endpoint: read from `--docker host=…,ca=…`, written into files, and connected to."""

from __future__ import annotations

import os

from argosy.cli.contexts import store
from argosy.cli.failure import Failure
from argosy.client.transport import Address, Certificates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context

_FILES = {"ca": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
_KEYS = frozenset(("from", "host", "skip-tls-verify", *_FILES))
_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_PROBLEM = "unable to create docker endpoint config"
HELP = """
Docker endpoint config:

NAME                DESCRIPTION
from                Copy the endpoint of another context
host                Where the engine listens: unix:///path or tcp://host:port
ca                  Trust certs signed only by this CA
cert                Path to a TLS certificate file
key                 Path to a TLS key file
skip-tls-verify     Don't verify the engine's certificate
"""


def parse(fields: dict[str, str], context: Context) -> store.Endpoint:
    """Raises Failure in Docker's words."""
    unknown = sorted(fields.keys() - _KEYS)
    if unknown:
        raise Failure("\n".join(f"{_PROBLEM}: unrecognized config key: {key}" for key in unknown))
    if fields.get("from"):
        try:
            return endpoint_of(fields["from"], context)
        except Failure as failure:
            raise Failure(f"{_PROBLEM}: {failure.message}") from None
    skip = fields.get("skip-tls-verify") or "false"
    if skip not in _TRUE | _FALSE:
        raise Failure(f'{_PROBLEM}: skip-tls-verify: parsing "{skip}": invalid syntax')
    tls = {_FILES[key]: _content(fields[key]) for key in _FILES if fields.get(key)}
    host = fields.get("host", "")
    if host and "://" not in host:
        raise Failure(
            f"{_PROBLEM}: unable to apply docker endpoint options: unable to parse docker host `{host}`"
        )
    return store.Endpoint(host, skip_verify=skip in _TRUE, tls=tls)


def endpoint_of(name: str, context: Context) -> store.Endpoint:
    """Of a kept context or of the default one. Raises Failure."""
    if name != store.DEFAULT:
        return store.load(name).endpoint
    certificates = context.where.default_certificates()
    host = context.where.default_host()
    if certificates is None:
        return store.Endpoint(host)
    paths = (certificates.authority, certificates.certificate, certificates.key)
    tls = {name: _content(path) for name, path in zip(store.TLS_FILES, paths, strict=True) if path}
    return store.Endpoint(host, skip_verify=not certificates.verify, tls=tls)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise Failure(f"{_PROBLEM}: open {path}: {reason}") from None


def address_of(name: str) -> Address:
    """Where a context's engine is. Raises Failure."""
    from argosy.cli.context import DEFAULT_HOST

    try:
        kept = store.load(name)
        endpoint = kept.endpoint
        return Address(endpoint.host or DEFAULT_HOST, _certificates(kept))
    except (Failure, ValueError) as error:
        raise Failure(f"Failed to initialize: unable to resolve docker endpoint: {error}") from None


def _certificates(kept: store.Kept) -> Certificates | None:
    """Without files and with a certificate to be verified, Docker speaks no TLS."""
    if not kept.tls and not kept.endpoint.skip_verify:
        return None
    folder = os.path.join(store.tls_folder(kept.name), store.ENDPOINT)
    authority, certificate, key = (
        os.path.join(folder, name) if name in kept.tls else "" for name in store.TLS_FILES
    )
    verify = not kept.endpoint.skip_verify
    return Certificates(authority=authority, certificate=certificate, key=key, verify=verify)


def require_files(certificates: Certificates) -> None:
    """Raises Failure for the first that cannot be opened."""
    for path in (certificates.authority, certificates.certificate, certificates.key):
        if path and not os.path.exists(path):
            raise Failure(
                "Failed to initialize: unable to resolve docker endpoint: "
                f"open {path}: no such file or directory"
            )
