"""What every command is given: the engine to talk to, and ways to speak to the user."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from argosy.client.docker import Client
    from argosy.client.errors import APIError, ConnectionFailed
    from argosy.client.transport import Address

DEFAULT_HOST = "unix:///run/argosy/argosy.sock"


class Context:
    def __init__(self, path: str, host: str = "", *, tls: bool = False, verify: bool = False) -> None:
        """`path` is the command as it was called: `argosy container ls`."""
        self.path = path
        environment = os.environ
        self.host = host or environment.get("ARGOSY_HOST") or environment.get("DOCKER_HOST") or DEFAULT_HOST
        self._tls = tls or verify or bool(environment.get("DOCKER_TLS_VERIFY"))
        self._verify = verify or bool(environment.get("DOCKER_TLS_VERIFY"))
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            from argosy.client.docker import Client

            refused = self._start_engine if self.host == DEFAULT_HOST else None
            self._client = Client(self.address(), on_refused=refused)
            version = os.environ.get("DOCKER_API_VERSION")
            if version:
                self._client.version = version
        return self._client

    def address(self) -> Address:
        from argosy.client.transport import Address

        certificates = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")
        try:
            return Address(self.host, tls=self._tls, certificates=certificates, verify=self._verify)
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
