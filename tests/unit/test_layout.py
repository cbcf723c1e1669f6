"""The house: no file is too long to read, and the README names every folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = 400
OF_THE_PRODUCT = ("cli.py", "server.py", "settings.py", "settings_checks.py", "commands", "training", "transports",
                  "engine", "schema", "resolvers", "plan", "services", "db", "domain")  # fmt: skip


@pytest.fixture(scope="module")
def files() -> list[str]:
    """The files under version control."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout of Git, which lists the files")
    return listed.stdout.splitlines()


def test_no_file_of_the_product_is_over_400_lines(files: list[str]) -> None:
    product = [name for name in files if name.endswith(".py") and name.split("/")[0] in OF_THE_PRODUCT]
    assert len(product) > 200
    counts = {name: len((ROOT / name).read_text().splitlines()) for name in product if (ROOT / name).exists()}
    assert {name: count for name, count in counts.items() if count > MAX_LINES} == {}


def test_the_readme_names_every_folder(files: list[str]) -> None:
    folders = {name.split("/")[0] for name in files if "/" in name and not name.startswith(".")}
    table = (ROOT / "README.md").read_text().partition("## Where things are")[2]
    named = set(re.findall(r"`([a-z]+)/`", table)) | set(re.findall(r"\(([a-z]+)/", table))
    assert folders - named == set()
