"""HTTP to registries: pools of connections, proxies, certificates, redirects.

A registry's own certificates lie in `/etc/argosy/certs.d/HOST[:PORT]/`, or where Docker looks for them,
`/etc/docker/certs.d/HOST[:PORT]/`: authorities in `*.crt`, ours for it in `*.cert` and `*.key`. They are
read again when they change.
"""

import os
import ssl
import threading
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import (
    HTTPError,
    InsecureRequestWarning,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    SSLError,
)
from urllib3.util import make_headers

from argosy import __version__
from argosy.errors import ArgosyError
from argosy.image.proxy import credentials_of, proxy_for

Response = urllib3.BaseHTTPResponse
# What is no bytes is sent in chunks as it comes.
Body = bytes | Iterable[bytes] | None

CERTIFICATES = ("/etc/argosy/certs.d", "/etc/docker/certs.d")
_TIMEOUT = urllib3.Timeout(connect=30, read=60)
_REDIRECTS = (301, 302, 303, 307, 308)
# RFC 9110: the others make a GET of whatever it was, or may.
_KEEPING = (307, 308)
_REDIRECT_LIMIT = 10
# Three layers in four parts each, or five on their way up.
_POOLED = 16

# Whoever calls a registry insecure knows.
urllib3.disable_warnings(InsecureRequestWarning)


class TransportError(ArgosyError):
    """No answer came, or none that is HTTP. `broke_off`: somebody had begun to listen."""

    broke_off = False


# What lies in a registry's directory: each file's path, and when it was changed.
_Files = tuple[tuple[str, int], ...]


class Transport:
    """Thread-safe."""

    def __init__(self, certificates: Sequence[str] = CERTIFICATES) -> None:
        """`certificates` are directories with one for each registry; the first that has it counts."""
        self._certificates = certificates
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, _Files, bool], urllib3.PoolManager] = {}

    def close(self) -> None:
        with self._lock:
            for manager in self._managers.values():
                manager.clear()
            self._managers.clear()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: Body = None,
        insecure: bool = False,
        is_secret: bool = False,
    ) -> Response:
        """The answer, its body unread: `release` it. Redirects are followed as Go's client follows them,
        unless the body can be sent only once; to another host without our authorization, and with a body
        that `is_secret` not at all. Raises TransportError."""
        sent = {"User-Agent": f"argosy/{__version__}", **headers}
        for _ in range(_REDIRECT_LIMIT):
            response = self._send(method, url, sent, body, insecure)
            # What a relative Location is relative to.
            response.url = url
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location or not isinstance(body, bytes | None):
                return response
            release(response)
            following = urljoin(url, location)
            if response.status not in _KEEPING and method not in ("GET", "HEAD"):
                method, body = "GET", None
            if origin(following) != origin(url):
                sent.pop("Authorization", None)
                if is_secret and body is not None:
                    raise TransportError(
                        f'{method.capitalize()} "{url}": the redirect to {urlsplit(following).netloc} is not '
                        "followed: it would get credentials that are not for it"
                    )
            url = following
        raise TransportError(f'{method.capitalize()} "{url}": stopped after {_REDIRECT_LIMIT} redirects')

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, insecure: bool
    ) -> Response:
        if urlsplit(url).scheme not in ("http", "https"):
            raise TransportError(f'{method.capitalize()} "{url}": unsupported protocol scheme')
        try:
            return self._manager(url, insecure).request(
                method,
                url,
                headers=headers,
                body=body,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=_TIMEOUT,
            )
        except (HTTPError, OSError, ValueError) as error:
            failure = TransportError(f'{method.capitalize()} "{url}": {_reason(error, url)}')
            failure.broke_off = isinstance(error, ProtocolError)
            raise failure from error

    def _manager(self, url: str, insecure: bool) -> urllib3.PoolManager:
        proxy = proxy_for(url)
        files = self._files(urlsplit(url).netloc)
        key = (proxy, files, insecure)
        with self._lock:
            manager = self._managers.get(key)
            if manager is None:
                context = _context([path for path, _ in files], insecure)
                manager = self._managers[key] = _new_manager(proxy, context)
            return manager

    def _files(self, host: str) -> _Files:
        for directory in self._certificates:
            try:
                with os.scandir(os.path.join(directory, host)) as entries:
                    return tuple(sorted((entry.path, entry.stat().st_mtime_ns) for entry in entries))
            except (FileNotFoundError, NotADirectoryError):
                continue
        return ()


def _new_manager(proxy: str, context: ssl.SSLContext) -> urllib3.PoolManager:
    if not proxy:
        return urllib3.PoolManager(ssl_context=context, maxsize=_POOLED)
    user = credentials_of(proxy)
    headers = make_headers(proxy_basic_auth=user) if user else None
    return urllib3.ProxyManager(proxy, proxy_headers=headers, ssl_context=context, maxsize=_POOLED)


def _context(paths: list[str], insecure: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for path in paths:
        stem, extension = os.path.splitext(path)
        if extension == ".crt":
            context.load_verify_locations(path)
        elif extension == ".cert":
            if f"{stem}.key" not in paths:
                raise ValueError(
                    f"missing key {os.path.basename(stem)}.key for client certificate {path}: "
                    "CA certificates must use the extension .crt"
                )
            context.load_cert_chain(path, f"{stem}.key")
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def release(response: Response) -> None:
    """Give the connection back, or up if much of the body is unread."""
    if response.length_remaining == 0:
        # A body of no bytes has to be read all the same.
        response.drain_conn()
        response.release_conn()
    else:
        response.close()


def origin(url: str) -> tuple[str, str]:
    """Who is asked by it (RFC 6454): authorization for one is not for another."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _reason(error: BaseException, url: str) -> str:
    """As Go words it, where scripts may look for it."""
    if isinstance(error, MaxRetryError) and error.reason is not None:
        error = error.reason
    host = urlsplit(url).netloc
    if isinstance(error, ProxyError):
        # Where the proxy is may hold its password.
        return f"proxyconnect tcp: {error.original_error}"
    if isinstance(error, NameResolutionError):
        return f"dial tcp: lookup {host}: no such host"
    if isinstance(error, NewConnectionError):
        cause = error.__cause__ or error
        text = os.strerror(cause.errno).lower() if isinstance(cause, OSError) and cause.errno else str(error)
        return f"dial tcp {host}: connect: {text}"
    if isinstance(error, SSLError):
        if "WRONG_VERSION_NUMBER" in str(error) or "record layer failure" in str(error).lower():
            way_out = f"if you trust it all the same, start argosyd with --insecure-registry {host}"
            return f"http: server gave HTTP response to HTTPS client: {way_out}"
        if "ALERT_BAD_CERTIFICATE" in str(error) or "CERTIFICATE_REQUIRED" in str(error):
            place = f"{CERTIFICATES[0]}/{host}/"
            return f"remote error: tls: certificate required: put client.cert and client.key into {place}"
        place = f"{CERTIFICATES[0]}/{host}/"
        return f"tls: failed to verify certificate: {error}: put its authority's ca.crt into {place}"
    return str(error)
