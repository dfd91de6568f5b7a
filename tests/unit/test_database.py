import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from argosy.database import Database

Connection = sqlite3.Connection


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(os.fspath(tmp_path / "db"))
    opened.define("CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY);")
    yield opened
    opened.close()


def insert(database: Database, value: int, *, durable: bool = True) -> "Future[int]":
    def write(connection: Connection) -> int:
        return connection.execute("INSERT INTO t VALUES (?)", (value,)).rowcount

    return database.submit(write, durable=durable)


def values(database: Database) -> list[object]:
    return [row[0] for row in database.read("SELECT x FROM t ORDER BY x")]


class Held:
    """Keeps the writer thread busy, so that what is submitted meanwhile becomes one batch."""

    def __init__(self, database: Database) -> None:
        self._begun, self._go = threading.Event(), threading.Event()

        def wait(_: Connection) -> None:
            self._begun.set()
            assert self._go.wait(10)

        self._job = database.submit(wait)
        assert self._begun.wait(10)

    def let_go(self) -> None:
        self._go.set()
        self._job.result(10)


def test_a_write_that_returns_can_be_read(database: Database) -> None:
    assert insert(database, 1).result(10) == 1
    assert values(database) == [1]


def test_a_write_that_raises_changes_nothing_and_tells_its_caller(database: Database) -> None:
    def half(connection: Connection) -> None:
        connection.execute("INSERT INTO t VALUES (1)")
        raise KeyError("no")

    with pytest.raises(KeyError):
        database.write(half)
    assert values(database) == []


def test_a_write_that_raises_leaves_the_others_of_its_batch_alone(database: Database) -> None:
    held = Held(database)
    first, twice, last = insert(database, 1), insert(database, 1), insert(database, 2)
    held.let_go()
    assert first.result(10) == last.result(10) == 1
    with pytest.raises(sqlite3.IntegrityError):
        twice.result(10)
    assert values(database) == [1, 2]


def test_writes_that_wait_together_are_committed_together(database: Database) -> None:
    held = Held(database)
    waiting = [insert(database, number) for number in range(50)]
    seen: list[int] = []
    waiting[0].add_done_callback(lambda _: seen.append(len(values(database))))
    held.let_go()
    for job in waiting:
        job.result(10)
    assert seen == [50]


def test_a_write_whose_caller_has_gone_is_not_carried_out(database: Database) -> None:
    held = Held(database)
    unwanted, wanted = insert(database, 1), insert(database, 2)
    assert unwanted.cancel()
    held.let_go()
    assert wanted.result(10) == 1
    assert values(database) == [2]


def test_a_write_that_has_begun_cannot_be_called_back(database: Database) -> None:
    begun, go = threading.Event(), threading.Event()

    def write(connection: Connection) -> str:
        begun.set()
        assert go.wait(10)
        connection.execute("INSERT INTO t VALUES (7)")
        return "done"

    job = database.submit(write)
    assert begun.wait(10)
    assert not job.cancel()
    go.set()
    assert job.result(10) == "done"
    assert insert(database, 8).result(10) == 1


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_only_a_durable_write_waits_for_the_disk(database: Database, durable: bool, level: int) -> None:
    def synchronous(connection: Connection) -> object:
        return connection.execute("PRAGMA synchronous").fetchone()[0]

    assert database.write(synchronous, durable=durable) == level


def test_one_durable_write_makes_its_whole_batch_durable(database: Database) -> None:
    held = Held(database)
    relaxed = database.submit(
        lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0], durable=False
    )
    insert(database, 1, durable=True)
    held.let_go()
    assert relaxed.result(10) == 2


def test_defining_a_table_twice_does_no_harm(database: Database) -> None:
    insert(database, 1).result(10)
    database.define("CREATE TABLE IF NOT EXISTS t (x INTEGER PRIMARY KEY); CREATE TABLE IF NOT EXISTS u (y);")
    assert values(database) == [1]


def test_what_was_written_before_closing_is_there_after_opening(tmp_path: Path) -> None:
    path = os.fspath(tmp_path / "db")
    first = Database(path)
    first.define("CREATE TABLE IF NOT EXISTS t (x);")
    pending = [insert(first, number) for number in range(3)]
    first.close()
    assert all(job.done() for job in pending)
    second = Database(path)
    assert values(second) == [0, 1, 2]
    second.close()


def test_writers_in_many_threads_lose_nothing(database: Database) -> None:
    def work(start: int) -> None:
        for number in range(start, start + 20):
            insert(database, number, durable=False).result(10)

    threads = [threading.Thread(target=work, args=(base * 20,)) for base in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(database) == list(range(160))


def test_a_database_in_memory_reads_through_its_writer() -> None:
    memory = Database(":memory:")
    memory.define("CREATE TABLE t (x);")
    insert(memory, 5).result(10)
    assert values(memory) == [5]
    memory.close()
