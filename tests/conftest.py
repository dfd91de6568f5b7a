"""What all tests share."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_fixture import LocalEngine

_numbers = itertools.count(1)
# Tests at work on one machine at the same time must not share a bridge.
_SECOND = 100 + os.getpid() % 100


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where base images are kept: between runs if ARGOSY_CACHE says so, else for this one."""
    given = os.environ.get("ARGOSY_CACHE")
    return Path(given) if given else tmp_path_factory.mktemp("cache")


@contextlib.contextmanager
def _running(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[LocalEngine]:
    number = next(_numbers)
    directory = tmp_path_factory.mktemp("engine")
    name, subnet = f"agt{os.getpid() % 10000}x{number}", f"10.{_SECOND}.{number}.1/24"
    engine = LocalEngine(directory, name, subnet, cache)
    engine.start()
    try:
        engine.import_base()
        yield engine
    finally:
        # A test may have killed it.
        if not engine.answers():
            engine.start()
        engine.shut_down()


@pytest.fixture(scope="session")
def shared_engine(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[LocalEngine]:
    with _running(tmp_path_factory, cache) as engine:
        yield engine


@pytest.fixture
def engine(shared_engine: LocalEngine) -> Iterator[LocalEngine]:
    """A running engine with a `busybox` image; its containers are gone after the test."""
    yield shared_engine
    shared_engine.remove_all()


@pytest.fixture(scope="module")
def module_engine(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[LocalEngine]:
    """One for a module alone: what it builds, or what it expects not to be there, is nobody else's business."""
    with _running(tmp_path_factory, cache) as engine:
        yield engine


@pytest.fixture
def own_engine(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[LocalEngine]:
    """An engine that a test may kill and start again."""
    with _running(tmp_path_factory, cache) as engine:
        yield engine
