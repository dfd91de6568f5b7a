import msgspec
import pytest

from argosy.api.buildkit.connection import NOT_FOUND, Call, Handle, RpcError
from argosy.api.buildkit.session import Session, Sessions, encoded
from argosy.errors import Unavailable
from argosy.image import Credentials
from argosy.spec import buildkit as messages
from argosy.wire import protobuf

from .loop import connected

_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
_CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"


def _answering(message: msgspec.Struct) -> Handle:
    def handle(call: Call) -> None:
        call.receive()
        call.send(protobuf.encode(message))

    return handle


def test_a_secret_is_asked_for() -> None:
    with connected(_answering(messages.GetSecretResponse(b"s3cret"))) as connection:
        assert Session("x", "", [_SECRET], connection).secret("id") == b"s3cret"


def test_there_is_no_secret_that_the_client_does_not_know() -> None:
    def refuse(call: Call) -> None:
        raise RpcError(NOT_FOUND, "not found")

    with connected(refuse) as connection:
        assert Session("x", "", [_SECRET], connection).secret("id") is None
        assert Session("x", "", [], connection).secret("id") is None


@pytest.mark.parametrize(
    ("answer", "credentials"),
    [
        (("anna", "pw"), Credentials("anna", "pw")),
        (("", "token"), Credentials(identity_token="token")),
        (("", ""), Credentials()),
    ],
)
def test_credentials_are_the_clients(answer: tuple[str, str], credentials: Credentials) -> None:
    hosts = []

    def handle(call: Call) -> None:
        hosts.append(protobuf.decode(messages.CredentialsRequest, call.receive() or b"").host)
        call.send(protobuf.encode(messages.CredentialsResponse(*answer)))

    with connected(handle) as connection:
        session = Session("x", "", [_CREDENTIALS], connection)
        assert session.credentials("docker.io") == credentials
        assert session.credentials("localhost:5000") == credentials
    assert hosts == ["registry-1.docker.io", "localhost:5000"]


def test_a_client_that_offers_none_is_anonymous() -> None:
    with connected(_answering(messages.Empty())) as connection:
        assert Session("x", "", [], connection).credentials("docker.io") == Credentials()


def test_values_that_are_no_ascii_are_escaped() -> None:
    assert encoded({"a": ["x y"], "b": ["ä b"]}) == {
        "a": ["x y"],
        "b": ["%C3%A4+b"],
        "b-encoded": ["1"],
    }


def test_a_session_that_never_comes_is_waited_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argosy.api.buildkit.session._PATIENCE", 0.05)
    with pytest.raises(Unavailable, match="no active session for x"):
        Sessions().get("x")
