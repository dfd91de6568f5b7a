"""Containers by identifier, prefix and name; in memory for reading, in the database to outlive us.

A row is written before a change is acknowledged. What makes a container (its row) is durable; whether
it runs is not worth a sync, since a power cut stops it anyway. A name belongs to one container from
the moment that its creation begins.
"""

import asyncio
import difflib
import sqlite3

import msgspec

from argosy.database import Database
from argosy.engine.container import Container, Spec, State
from argosy.engine.lifecycle import Status
from argosy.errors import Conflict, InvalidParameter, NotFound
from argosy.ids import is_prefix

_TABLE = """
CREATE TABLE IF NOT EXISTS containers (id TEXT PRIMARY KEY, spec BLOB NOT NULL, state BLOB NOT NULL)
WITHOUT ROWID;
"""
_encode = msgspec.json.Encoder().encode


class ContainerStore:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_id: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        database.define(_TABLE)

    def load(self) -> None:
        """Read what an earlier engine left. Needs a running event loop."""
        for _, spec, state in self._database.read("SELECT id, spec, state FROM containers"):
            assert isinstance(spec, bytes) and isinstance(state, bytes)
            container = Container(
                msgspec.json.decode(spec, type=Spec), msgspec.json.decode(state, type=State)
            )
            self._by_id[container.id] = container
            self._names[container.name] = container.id

    def all(self) -> list[Container]:
        """Newest first. Any thread may ask."""
        found = list(self._by_id.values())
        return sorted(found, key=lambda container: -container.spec.created)

    def get(self, identifier: str) -> Container | None:
        return self._by_id.get(identifier)

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, text: str) -> Container:
        """By ID, name, or the only ID with this prefix, in Docker's order. Raises NotFound, Conflict,
        InvalidParameter."""
        if not text:
            raise InvalidParameter('invalid name or ID supplied: ""')
        container = self._by_id.get(text)
        if container is not None:
            return container
        name = text.removeprefix("/")
        identifier = self._names.get(name)
        if identifier in self._by_id:
            return self._by_id[identifier]
        if is_prefix(text):
            matching = [found for key, found in self._by_id.items() if key.startswith(text)]
            if len(matching) == 1:
                return matching[0]
            if matching:
                raise Conflict(f"multiple IDs found with provided prefix: {text}")
        raise NotFound(f"No such container: {text}", hint=self._nearly(name))

    def _nearly(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._names, n=1, cutoff=0.7)
        return f"Did you mean {near[0]}?" if near else ""

    def claim_name(self, name: str, identifier: str) -> None:
        """Raises Conflict in Docker's words."""
        holder = self._names.setdefault(name, identifier)
        if holder != identifier:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )

    def give_up_name(self, name: str, identifier: str) -> None:
        if self._names.get(name) == identifier:
            del self._names[name]

    def has_name(self, name: str) -> bool:
        return name in self._names

    async def insert(self, container: Container, *, durable: bool) -> None:
        row = (container.id, _encode(container.spec), _encode(container.state))

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO containers VALUES (?, ?, ?)", row)

        await asyncio.wrap_future(self._database.submit(write, durable=durable))
        self._by_id[container.id] = container

    async def save_state(
        self, container: Container, *, durable: bool = False, status: Status | None = None
    ) -> None:
        """`status` is saved instead of the one that it has yet."""
        state = container.state if status is None else msgspec.structs.replace(container.state, status=status)
        row = (_encode(state), container.id)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE containers SET state = ? WHERE id = ?", row)

        await asyncio.wrap_future(self._database.submit(write, durable=durable))

    async def rename(self, container: Container, name: str) -> None:
        """Raises Conflict."""
        self.claim_name(name, container.id)
        old = container.spec.name
        container.spec.name = name
        row = (_encode(container.spec), container.id)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE containers SET spec = ? WHERE id = ?", row)

        try:
            await asyncio.wrap_future(self._database.submit(write))
        except BaseException:
            container.spec.name = old
            self.give_up_name(name, container.id)
            raise
        self.give_up_name(old, container.id)

    async def save_spec(self, container: Container) -> None:
        row = (_encode(container.spec), container.id)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE containers SET spec = ? WHERE id = ?", row)

        await asyncio.wrap_future(self._database.submit(write))

    async def delete(self, container: Container, *, durable: bool) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM containers WHERE id = ?", (container.id,))

        await asyncio.wrap_future(self._database.submit(write, durable=durable))
        self._by_id.pop(container.id, None)
        self.give_up_name(container.name, container.id)
