import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.database import Database
from argosy.image import Images
from image_store import DRIVERS


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(os.fspath(tmp_path / "db"))
    yield opened
    opened.close()


@pytest.fixture(params=DRIVERS)
def images(request: pytest.FixtureRequest, tmp_path: Path, database: Database) -> Iterator[Images]:
    opened = Images(os.fspath(tmp_path / "root"), database, storage_driver=request.param)
    yield opened
    opened.close()
