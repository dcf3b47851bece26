"""Documents say what the code does: settings, metrics, commands, files that exist."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md"))
    if ".venv" not in path.parts
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    """Every relative link names a file of the repository."""
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))

    broken = [target for target in targets if "://" not in target and not (page.parent / target).exists()]

    assert [] == broken


def test_the_readme_has_two_commands_for_all_set_up() -> None:
    """`make demo` and `make test` exist, and set up by themselves."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    for command in ("demo", "test"):
        assert f"make {command}" in readme
        assert re.search(rf"^{command}: .*(\$\(STAMP\)|lint)", makefile, re.MULTILINE)


def test_ci_runs_what_the_readme_names_and_nothing_else() -> None:
    """`.ci/run` calls `make test`, once the packages are there that its real servers need."""
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line and not line.startswith("#")]

    assert ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "scripts/debian-packages.sh", "make test"] == lines


def test_decisions_name_their_alternatives() -> None:
    """Each record says what was decided against."""
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert records
    for record in records:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", record.name)
        for part in ("## Context", "## Decision", "## Alternatives"):
            assert part in record.read_text(encoding="utf-8"), record.name
