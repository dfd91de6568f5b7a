"""`argosy login`."""

from __future__ import annotations

import sys

from argosy.cli import config_file, credentials
from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "[OPTIONS] [SERVER]",
    "Log in to a registry: Docker Hub, if none is named",
    """
  -p, --password string   Password or access token; on the command line, others may see it
      --password-stdin    Take the password or access token from stdin
  -u, --username string   User name
""",
    arguments=(0, 1),
)
_UNENCRYPTED = """
WARNING! Your credentials are stored unencrypted in '{path}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/
"""


def server_key(arguments: list[str]) -> str:
    """What a registry goes by in `config.json`."""
    if not arguments or arguments[0] in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        return credentials.HUB_KEY
    if arguments[0] == credentials.HUB_KEY:
        return arguments[0]
    return arguments[0].removeprefix("https://").removeprefix("http://").partition("/")[0]


def run(context: Context, options: Options, arguments: list[str]) -> int:
    key = server_key(arguments)
    user, password = options.text("username"), options.text("password")
    if password:
        if options.on("password-stdin"):
            raise Failure("conflicting options: cannot specify both --password and --password-stdin")
        print(
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
            file=sys.stderr,
        )
    if options.on("password-stdin"):
        if not user:
            raise Failure("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().rstrip("\r\n")
    fields = {"username": user, "password": password}
    if not user and not password and (known := credentials.load(key)):
        print(
            f"Authenticating with existing credentials... [Username: {known.get('username', '')}]\n\n"
            " Info -> To login with a different account, run 'argosy logout' followed by 'argosy login'\n\n",
            file=sys.stderr,
        )
        fields = known
    elif not user or not password:
        fields = _asked(key, user, password)
    answer = context.client.post("/auth", None, {**fields, "serveraddress": key})
    token = answer.get("IdentityToken") or ""
    if token:
        fields = {"username": fields.get("username", ""), "identitytoken": token}
    if credentials.store(key, fields):
        sys.stderr.write(_UNENCRYPTED.format(path=config_file.path()) + "\n")
    print(answer.get("Status") or "Login Succeeded")
    return 0


def _asked(key: str, user: str, password: str) -> dict[str, str]:
    if not sys.stdin.isatty():
        raise Failure("Error: Cannot perform an interactive login from a non TTY device")
    import getpass

    if key == credentials.HUB_KEY and not user:
        print("Log in with your Docker ID or email address to push and pull images from Docker Hub.")
    try:
        user = user or input("Username: ").strip()
        if not user:
            raise Failure("Error: Non-null Username Required")
        password = password or getpass.getpass("Password: ")
    except (EOFError, KeyboardInterrupt):
        raise Failure("canceled") from None
    if not password:
        raise Failure("Error: Password Required")
    return {"username": user, "password": password}
