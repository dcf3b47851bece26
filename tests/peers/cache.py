"""Programs that tests talk to, built once from pinned recipes and kept outside the checkout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

HERE = pathlib.Path(__file__).resolve().parent


class BuildError(Exception):
    """A peer could not be built; the message ends with what its build said."""


def root() -> pathlib.Path:
    """Return where built peers are kept."""
    named = os.environ.get("AFTERCALL_PEERS_DIR")
    return pathlib.Path(named) if named else pathlib.Path.home() / ".cache" / "aftercall" / "peers"


def build(name: str, command: Sequence[str], *, needs: Sequence[str], timeout_s: float = 900.0) -> pathlib.Path:
    """Return the folder of a built peer; `command` fills `{out}` in a copy of its recipe's folder; `{python}` is ours.

    The folder is named after the recipe's content, so a changed recipe builds anew; a build that was killed in the
    middle leaves nothing under that name, and two test runs at once build it once.
    """
    recipe = HERE / name
    digest = hashlib.sha256(repr(command).encode())
    for file in sorted(recipe.iterdir()):
        digest.update(file.name.encode() + b"\x00" + file.read_bytes())
    target = root() / f"{name}-{digest.hexdigest()[:16]}"
    root().mkdir(parents=True, exist_ok=True)
    with (root() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        missing = [program for program in needs if shutil.which(program) is None]
        if missing:
            raise BuildError(f"peer {name} needs {', '.join(missing)}: run scripts/debian-packages.sh")
        with tempfile.TemporaryDirectory(dir=root(), prefix=f".{name}-") as folder:
            work, out = pathlib.Path(folder) / "recipe", pathlib.Path(folder) / "out"
            shutil.copytree(recipe, work)
            out.mkdir()
            filled = [part.format(out=out, python=sys.executable) for part in command]
            done = subprocess.run(filled, cwd=work, capture_output=True, text=True, timeout=timeout_s, check=False)
            if done.returncode != 0:
                raise BuildError(f"peer {name} does not build: {(done.stdout + done.stderr)[-2000:]}")
            out.rename(target)
    return target


def build_go(name: str, *packages: str, link: str = "") -> pathlib.Path:
    """Return the folder of a peer's programs, built by Go from the modules that its recipe's `go.sum` pins.

    `link` is added to the linker's flags. An hour is for a cold build of Kubernetes beside other work on two cores.
    """
    flags = ["-trimpath", "-ldflags", f"-s -w {link}".rstrip()]
    command = ["env", "CGO_ENABLED=0", "go", "build", *flags, "-o", "{out}/", *packages]
    return build(name, command, needs=("go",), timeout_s=3600.0)
