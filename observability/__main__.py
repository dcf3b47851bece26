"""Write the dashboards and rules that the chart carries, or with `--check` name those that are stale."""

from __future__ import annotations

import pathlib
import sys

from observability.dashboards import boards
from observability.rules import files

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = ROOT / "charts" / "aftercall" / "files"


def wanted() -> dict[pathlib.Path, str]:
    """Return every file, by its place."""
    rules = {FILES / "rules" / name: text for name, text in files.render().items()}
    return rules | {FILES / "dashboards" / name: text for name, text in boards.render().items()}


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    found = wanted()
    stale = [path for path, text in found.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    strays = [path for folder in ("rules", "dashboards") for path in (FILES / folder).glob("*") if path not in found]
    if arguments == ["--check"]:
        if stale or strays:
            names = ", ".join(str(path.relative_to(ROOT)) for path in [*stale, *strays])
            sys.stderr.write(f"stale: {names}; run `make schemas`\n")
        return 1 if stale or strays else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found[path], encoding="utf-8")
    for path in strays:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
