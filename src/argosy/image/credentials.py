"""What a client hands over so that we may act for it at a registry: the X-Registry-Auth header."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import msgspec

from argosy.errors import InvalidParameter


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and password; or an identity token, traded for others; or a registry token, used as it is."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @staticmethod
    def from_header(value: str) -> "Credentials":
        """The header's base64url JSON. Empty is anonymous. Raises InvalidParameter."""
        if not value:
            return Credentials()
        try:
            # Either alphabet, padded or not: clients differ.
            text = value.replace("+", "-").replace("/", "_").rstrip("=")
            data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            fields = msgspec.json.decode(data, type=dict[str, Any]) if data.strip() else {}
        except (binascii.Error, ValueError, msgspec.DecodeError) as error:
            raise InvalidParameter(f"invalid X-Registry-Auth header: {error}") from None
        return Credentials.from_fields(fields)

    @staticmethod
    def from_fields(fields: dict[str, Any]) -> "Credentials":
        """Docker's AuthConfig. `auth` holds user and password in base64 where they are not given apart."""
        username, password = str(fields.get("username") or ""), str(fields.get("password") or "")
        encoded = fields.get("auth")
        if encoded and not username:
            try:
                username, _, password = base64.b64decode(str(encoded), validate=True).decode().partition(":")
            except (binascii.Error, ValueError) as error:
                raise InvalidParameter(f"invalid auth: {error}") from None
        return Credentials(
            username,
            password,
            str(fields.get("identitytoken") or ""),
            str(fields.get("registrytoken") or ""),
        )
