"""A served API against its own OpenAPI document, by schemathesis: every check, every phase."""

from __future__ import annotations

import pathlib
import subprocess
import sys


def run(
    url: str, configuration: str, folder: pathlib.Path, *, key: str | None, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Check the API at `url`, with a key if there is one; `configuration` is schemathesis's own."""
    (folder / "schemathesis.toml").write_text(configuration)
    return subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *("--seed", "1", "--max-examples", "20", "--workers", "1", "--no-color"),
            *(() if key is None else ("--header", f"Authorization: Bearer {key}")),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
