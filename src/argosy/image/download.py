"""What lies behind a URL, as a source that is read from front to back."""

import contextlib
from collections.abc import Iterator

from argosy.errors import InvalidParameter
from argosy.image.tar import Source
from argosy.image.transport import Transport, release


@contextlib.contextmanager
def download(url: str) -> Iterator[Source]:
    """Without a scheme it is `http`. Raises InvalidParameter, TransportError."""
    if "://" not in url:
        url = f"http://{url}"
    transport = Transport()
    try:
        response = transport.request("GET", url, {})
        try:
            if response.status >= 400:
                raise InvalidParameter(
                    f"failed to GET {url} with status {response.status} {response.reason or ''}".rstrip()
                )
            yield response
        finally:
            release(response)
    finally:
        transport.close()
