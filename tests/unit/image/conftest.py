import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.database import Database
from argosy.image import Images


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(os.fspath(tmp_path / "db"))
    yield opened
    opened.close()


@pytest.fixture
def images(tmp_path: Path, database: Database) -> Iterator[Images]:
    opened = Images(os.fspath(tmp_path / "root"), database)
    yield opened
    opened.close()
