"""The manual's pages."""

import re
import subprocess
from pathlib import Path

import pytest

from argosy.cli import catalogue, manual

PAGES = dict(manual.pages())


def test_every_command_has_a_page() -> None:
    wanted = {"argosy.1"} | {f"argosy-{name}.1" for name in catalogue.TOP}
    for noun, verbs in catalogue.GROUPS.items():
        wanted |= {f"argosy-{noun}.1"} | {f"argosy-{noun}-{verb}.1" for verb in verbs}
    assert set(PAGES) == wanted


def test_the_pages_are_correct(tmp_path: Path) -> None:
    manual.main(str(tmp_path))
    whole = [str(path) for path in sorted(tmp_path.iterdir()) if not path.read_text().startswith(".so ")]
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *whole], capture_output=True, check=False)
    # A page without a date is said to be missing one: they do not change with the day.
    complaints = [line for line in done.stdout.decode().splitlines() if "missing date" not in line]
    assert complaints == []


def test_an_option_is_shown_with_its_value_and_what_it_does(tmp_path: Path) -> None:
    page = tmp_path / "page.1"
    page.write_text(PAGES["argosy-run.1"])
    done = subprocess.run(["mandoc", "-T", "ascii", str(page)], capture_output=True, check=True)
    text = re.sub(r".\x08", "", done.stdout.decode())
    assert "argosy run [OPTIONS] IMAGE [COMMAND] [ARG...]" in text
    assert re.search(r"-p, --publish list\n\s+Publish a port", text)
    assert re.search(r"--restart string\n\s+When to start it again[^-]+no,\s+always,\s+unless-stopped", text)
    assert re.search(r"\n\s+Network\n", text)


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if page.startswith(".so ")])
def test_an_alias_leads_to_a_page(name: str) -> None:
    target = PAGES[name].split("/")[1].strip()
    assert PAGES[target].startswith(".TH ")
