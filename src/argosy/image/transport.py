"""HTTP to registries: pools of connections, proxies, certificates, redirects.

Proxies come from the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), never for the loopback, as in Go.
A registry's own certificates lie where Docker looks for them: `/etc/docker/certs.d/HOST[:PORT]/`, with
authorities in `*.crt` and ours for it in `*.cert` and `*.key`.
"""

import glob
import ipaddress
import os
import ssl
import threading
from collections.abc import Iterable, Mapping
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, NameResolutionError, NewConnectionError, SSLError

from argosy import __version__
from argosy.errors import ArgosyError

Response = urllib3.BaseHTTPResponse
# What is no bytes is sent in chunks as it comes.
Body = bytes | Iterable[bytes] | None

CERTIFICATES = "/etc/docker/certs.d"
_TIMEOUT = urllib3.Timeout(connect=30, read=60)
_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECT_LIMIT = 10
_POOLED = 8


class TransportError(ArgosyError):
    """No answer came, or none that is HTTP."""


class Transport:
    """Thread-safe."""

    def __init__(self, certificates: str = CERTIFICATES) -> None:
        self._certificates = certificates
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, str, bool], urllib3.PoolManager] = {}

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
    ) -> Response:
        """The answer, its body unread: `release` it. Redirects are followed, without our authorization
        when they lead to another host, unless the body can be sent only once. Raises TransportError."""
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
            if _origin(following) != _origin(url):
                sent.pop("Authorization", None)
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
            raise TransportError(f'{method.capitalize()} "{url}": {_reason(error, url)}') from error

    def _manager(self, url: str, insecure: bool) -> urllib3.PoolManager:
        parts = urlsplit(url)
        proxy = _proxy_for(parts.scheme, parts.hostname or "")
        own = parts.netloc if os.path.isdir(os.path.join(self._certificates, parts.netloc)) else ""
        key = (proxy, own, insecure)
        with self._lock:
            manager = self._managers.get(key)
            if manager is None:
                context = self._context(own, insecure)
                manager = self._managers[key] = (
                    urllib3.ProxyManager(proxy, ssl_context=context, maxsize=_POOLED)
                    if proxy
                    else urllib3.PoolManager(ssl_context=context, maxsize=_POOLED)
                )
            return manager

    def _context(self, own: str, insecure: bool) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if own:
            directory = glob.escape(os.path.join(self._certificates, own))
            for path in sorted(glob.glob(directory + "/*.crt")):
                context.load_verify_locations(path)
            for path in sorted(glob.glob(directory + "/*.cert")):
                context.load_cert_chain(path, path[: -len("cert")] + "key")
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


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _proxy_for(scheme: str, host: str) -> str:
    proxies = getproxies()
    proxy = proxies.get(scheme, "")
    if not proxy or is_loopback(host) or proxy_bypass(host, proxies):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _reason(error: BaseException, url: str) -> str:
    """As Go words it, where scripts may look for it."""
    if isinstance(error, MaxRetryError) and error.reason is not None:
        error = error.reason
    host = urlsplit(url).netloc
    if isinstance(error, NameResolutionError):
        return f"dial tcp: lookup {host}: no such host"
    if isinstance(error, NewConnectionError):
        cause = error.__cause__ or error
        text = os.strerror(cause.errno).lower() if isinstance(cause, OSError) and cause.errno else str(error)
        return f"dial tcp {host}: connect: {text}"
    if isinstance(error, SSLError):
        if "WRONG_VERSION_NUMBER" in str(error) or "record layer failure" in str(error).lower():
            return "http: server gave HTTP response to HTTPS client"
        if "ALERT_BAD_CERTIFICATE" in str(error) or "CERTIFICATE_REQUIRED" in str(error):
            place = f"{CERTIFICATES}/{host}/"
            return f"remote error: tls: certificate required: put client.cert and client.key into {place}"
        return f"tls: failed to verify certificate: {error}"
    return str(error)
