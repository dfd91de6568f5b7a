import base64
import json

import pytest

from argosy.errors import InvalidParameter
from argosy.image.credentials import Credentials


def header(**fields: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")


def test_the_header_is_read() -> None:
    assert Credentials.from_header("") == Credentials()
    assert Credentials.from_header(header(username="me", password="p?>")) == Credentials("me", "p?>")
    assert Credentials.from_header(header(identitytoken="t")) == Credentials(identity_token="t")
    encoded = base64.b64encode(b"me:a:b").decode()
    assert Credentials.from_header(header(auth=encoded)) == Credentials("me", "a:b")


@pytest.mark.parametrize("value", ["%%%", base64.urlsafe_b64encode(b"[1]").decode(), header(auth="\x00")])
def test_a_bad_header_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameter):
        Credentials.from_header(value)
