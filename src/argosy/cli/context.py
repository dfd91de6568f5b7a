"""What every command is given: the engine to talk to, and ways to speak to the user."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from argosy.client.docker import Client
    from argosy.client.errors import APIError, ConnectionFailed
    from argosy.client.transport import Address, Certificates

DEFAULT = "default"
DEFAULT_HOST = "unix:///run/argosy/argosy.sock"


class Where:
    """What the command line says of the engine to talk to."""

    def __init__(
        self,
        host: str = "",
        context: str = "",
        *,
        tls: bool = False,
        verify: bool = False,
        authority: str = "",
        certificate: str = "",
        key: str = "",
    ) -> None:
        self.host = host
        self.context = context
        self.tls = tls or verify or bool(os.environ.get("DOCKER_TLS") or os.environ.get("DOCKER_TLS_VERIFY"))
        self.verify = verify or bool(os.environ.get("DOCKER_TLS_VERIFY"))
        self.authority = authority
        self.certificate = certificate
        self.key = key

    def context_name(self) -> str:
        """`default` where what names an engine is no context."""
        if self.context:
            return self.context
        environment = os.environ
        if self.host or environment.get("ARGOSY_HOST") or environment.get("DOCKER_HOST"):
            return DEFAULT
        if environment.get("DOCKER_CONTEXT"):
            return environment["DOCKER_CONTEXT"]
        from argosy.cli.config_file import current_context

        return current_context() or DEFAULT

    def default_host(self) -> str:
        environment = os.environ
        return self.host or environment.get("ARGOSY_HOST") or environment.get("DOCKER_HOST") or DEFAULT_HOST

    def default_certificates(self) -> Certificates | None:
        """Docker's: --tlscacert and the like, else files in a folder, of which one's own may be missing."""
        if not self.tls:
            return None
        from argosy.cli.config_file import folder
        from argosy.client.transport import Certificates

        place = os.environ.get("DOCKER_CERT_PATH") or folder()
        certificate, key = (
            given or (path if os.path.exists(path) else "")
            for given, path in (
                (self.certificate, os.path.join(place, "cert.pem")),
                (self.key, os.path.join(place, "key.pem")),
            )
        )
        authority = self.authority or os.path.join(place, "ca.pem")
        return Certificates(authority=authority, certificate=certificate, key=key, verify=self.verify)


class Context:
    def __init__(self, path: str, where: Where | None = None) -> None:
        """`path` is the command as it was called: `argosy container ls`."""
        self.path = path
        self.where = where or Where()
        self._address: Address | None = None
        self._client: Client | None = None

    @property
    def name(self) -> str:
        """Of the context in Docker's sense."""
        return self.where.context_name()

    @property
    def host(self) -> str:
        """Raises Failure."""
        return self.address().text

    @property
    def client(self) -> Client:
        """Raises Failure."""
        if self._client is None:
            from argosy.client.docker import Client

            refused = self._start_engine if self.host == DEFAULT_HOST else None
            self._client = Client(self.address(), on_refused=refused)
            version = os.environ.get("DOCKER_API_VERSION")
            if version:
                self._client.version = version
        return self._client

    def address(self) -> Address:
        """Raises Failure."""
        if self._address is None:
            name = self.name
            if name == DEFAULT:
                self._address = self._default_address()
            else:
                from argosy.cli.contexts.endpoint import address_of

                self._address = address_of(name)
        return self._address

    def _default_address(self) -> Address:
        from argosy.client.transport import Address

        certificates = self.where.default_certificates()
        if certificates is not None:
            from argosy.cli.contexts.endpoint import require_files

            require_files(certificates)
        try:
            return Address(self.where.default_host(), certificates)
        except ValueError as error:
            from argosy.cli.failure import Failure

            raise Failure(str(error)) from None

    @staticmethod
    def _start_engine(failure: ConnectionFailed) -> bool:
        from argosy.cli.autostart import start_for

        return start_for(failure)

    def report(self, error: APIError) -> None:
        """Say on stderr what the engine refused, and what may have been meant."""
        sys.stderr.write(f"{self.explain(error)}\n")

    def explain(self, error: APIError) -> str:
        text = f"Error response from daemon: {error.message.strip()}"
        if error.status == 404:
            from argosy.cli.missing import hint

            suggestion = hint(self.client, error.message)
            return f"{text}\n{suggestion}" if suggestion else text
        return text

    def print_each(self, names: list[str], outcomes: Iterator[APIError | None]) -> int:
        """Print the names that succeeded on stdout, complain of the others; the exit code."""
        failures = []
        for name, error in zip(names, outcomes, strict=True):
            if error is None:
                print(name)
            else:
                failures.append(error)
        for error in failures:
            self.report(error)
        return 1 if failures else 0
