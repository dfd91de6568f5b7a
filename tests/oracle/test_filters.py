"""What an engine says to filters that make no sense: Docker's client, to a dockerd and to an engine of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine_fixture import LocalEngine

if TYPE_CHECKING:
    from .conftest import Oracle

pytestmark = pytest.mark.oracle

LINES = """
ps --filter nope=1
ps --filter status=nope
ps --filter exited=x
ps --filter health=nope
ps --filter is-task=x
ps --filter before=nope
ps --filter since=nope
ps --filter publish=x
ps --filter expose=90000
ps --filter name=[
ps --filter network=nope
ps --filter ancestor=nope
images --filter nope=1
images --filter dangling=maybe
images --filter until=nope
volume ls --filter nope=1
volume ls --filter dangling=x
network ls --filter nope=1
network ls --filter type=nope
network ls --filter dangling=x
network ls --filter type=custom
network ls --filter scope=nope
container prune -f --filter nope=1
container prune -f --filter until=nope
image prune -f --filter nope=1
volume prune -f --filter nope=1
volume prune -f --filter all=x
volume prune -f --filter until=1h
network prune -f --filter nope=1
volume create -o foo=bar oracle-wrong
volume create -o type=tmpfs oracle-wrong
volume create -o device=tmpfs oracle-wrong
volume create --driver nope oracle-wrong
"""


@pytest.mark.parametrize("line", LINES.strip().splitlines())
def test_the_answer_is_dockers(oracle: Oracle, shared_engine: LocalEngine, line: str) -> None:
    theirs, ours = oracle.docker(*line.split()), shared_engine.docker(*line.split())
    # A hint may follow on a line of its own.
    first = ours.stderr.split("\n")[0]
    assert (ours.code, ours.stdout, first) == (theirs.code, theirs.stdout, theirs.stderr.split("\n")[0])
