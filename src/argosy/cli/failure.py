"""How a command ends when it does not succeed."""

from __future__ import annotations


class Failure(Exception):
    """Print the message to stderr and exit with the code. `usage` adds the lines that show how."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class UsageError(Failure):
    """The command line itself is wrong. Without a prefix it reads as pflag's errors do."""

    def __init__(self, message: str, *, code: int = 125, hint: str = "Run") -> None:
        super().__init__(message, code)
        self.hint = hint


class Help(Exception):
    """`--help` was asked for: not an error, but the end of the command all the same."""
