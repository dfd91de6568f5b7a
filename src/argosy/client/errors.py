"""What can go wrong between a client and the engine.

ArgosyError
├── APIError           the engine answered with an error; `status` is its HTTP status
├── ConnectionFailed   nothing answers at the address; `errno` says why
└── ProtocolError      what answered does not speak HTTP as it should
"""

from __future__ import annotations

from argosy.errors import ArgosyError


class APIError(ArgosyError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ConnectionFailed(ArgosyError):
    def __init__(self, address: str, error: OSError) -> None:
        super().__init__(f"cannot connect to {address}: {error.strerror or error}")
        self.address = address
        self.errno = error.errno


class ProtocolError(ArgosyError):
    pass
