"""Every error that Argosy raises on purpose.

ArgosyError                  500  something failed that should not have
├── InvalidParameter         400  the request is malformed or contradicts itself
├── Unauthorized             401  credentials are missing or were refused
├── Forbidden                403  the request is understood and not allowed
├── NotFound                 404  the named thing does not exist
├── Conflict                 409  the named thing is in a state that forbids the request
├── NotModified              304  the named thing already is as asked
├── NotImplementedYet        501  Docker has it, this engine does not
└── Unavailable              503  a part that is needed does not answer

The message is what Docker would say, so that scripts that match on it keep working. A `hint`, where
there is one, says what to do next; the API appends it after a line break.
"""


class ArgosyError(Exception):
    """Base of all; `status` is the Engine API's HTTP status."""

    status = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class InvalidParameter(ArgosyError):
    status = 400


class Unauthorized(ArgosyError):
    status = 401


class Forbidden(ArgosyError):
    status = 403


class NotFound(ArgosyError):
    status = 404


class Conflict(ArgosyError):
    status = 409


class NotModified(ArgosyError):
    status = 304


class NotImplementedYet(ArgosyError):
    status = 501


class Unavailable(ArgosyError):
    status = 503
