"""The one SQLite database that holds all metadata.

Every write is a function run inside a savepoint by a single writer thread. Writes that arrive while
one is being synced are carried out together and share the next sync (group commit), so fifty callers
cost a handful of syncs. A write that returns is committed; a write that raises changed nothing. With
`durable=False` it still survives the death of the process, but a power cut may lose it: for facts
that a power cut makes void anyway, such as which process runs.

Tables belong to the stores: each passes its `CREATE TABLE IF NOT EXISTS …` to `define`.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class _Job:
    __slots__ = ("durable", "function", "future")

    def __init__(self, function: Callable[[sqlite3.Connection], object], durable: bool) -> None:
        self.function = function
        self.durable = durable
        self.future: Future[object] = Future()


class Database:
    """Thread-safe. `path` may be `:memory:` in tests (then readers share the writer's connection)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._connection = self._connect()
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._thread = threading.Thread(target=self._work, name="database", daemon=True)
        self._thread.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA busy_timeout=10000")
        return connection

    def define(self, script: str) -> None:
        """Create a store's tables. Idempotent. Statements end in `;`."""
        statements = [statement for statement in script.split(";") if statement.strip()]

        def create(connection: sqlite3.Connection) -> None:
            for statement in statements:
                connection.execute(statement)

        self.write(create)

    def submit(self, function: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> "Future[T]":
        """Queue a write; the future resolves at its commit. Cancelled before its turn, it never runs."""
        job = _Job(function, durable)
        self._jobs.put(job)
        return job.future  # type: ignore[return-value]

    def write(self, function: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run `function(connection)` in a transaction and wait for its commit. Not for the event loop."""
        return self.submit(function, durable=durable).result()

    def read(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Rows of a query over what is committed."""
        if self._path == ":memory:":
            return self.write(lambda connection: connection.execute(sql, parameters).fetchall())
        connection = self._connect()
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            batch = [job]
            stop = False
            while not self._jobs.empty():
                following = self._jobs.get()
                if following is None:
                    stop = True
                    break
                batch.append(following)
            self._commit(batch)
            if stop:
                return

    def _commit(self, batch: list[_Job]) -> None:
        connection = self._connection
        # From here on a future cannot be cancelled: a write that has begun is carried out.
        batch = [job for job in batch if job.future.set_running_or_notify_cancel()]
        outcomes: list[tuple[_Job, object, BaseException | None]] = []
        try:
            level = "FULL" if any(job.durable for job in batch) else "NORMAL"
            connection.execute(f"PRAGMA synchronous={level}")
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                connection.execute("SAVEPOINT job")
                try:
                    outcomes.append((job, job.function(connection), None))
                except Exception as error:  # noqa: BLE001  handed to the caller through its future
                    connection.execute("ROLLBACK TO job")
                    outcomes.append((job, None, error))
                connection.execute("RELEASE job")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            for job in batch:
                job.future.set_exception(error)
            return
        for job, result, failure in outcomes:
            if failure is not None:
                job.future.set_exception(failure)
            else:
                job.future.set_result(result)
