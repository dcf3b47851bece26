"""The layers and the purity of modules, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("contracts", "serve", "consumers", "operator", "api", "cli")
"""Lowest layer first: a part may import parts to its left, never to its right; consumers and operator neither."""

PURE = (
    "serve/aftercall/serve/batching.py",
    "serve/aftercall/serve/breaker.py",
    "consumers/aftercall/consumers/intake/admission.py",
    "consumers/aftercall/consumers/intake/fairness.py",
    "consumers/aftercall/consumers/intake/offsets.py",
    "consumers/aftercall/consumers/intake/parking.py",
    "consumers/aftercall/consumers/intake/sources.py",
    "consumers/aftercall/consumers/intake/turns.py",
    "consumers/aftercall/consumers/intake/twilio.py",
    "consumers/aftercall/consumers/publish/webhook.py",
    "consumers/aftercall/consumers/recording/crosstalk.py",
    "consumers/aftercall/consumers/recording/containers.py",
    "consumers/aftercall/consumers/recording/speech.py",
    "consumers/aftercall/consumers/recording/tones.py",
    "consumers/aftercall/consumers/recording/windows.py",
    "consumers/aftercall/consumers/transcript",
    "operator/aftercall/operator/capacity.py",
    "operator/aftercall/operator/conditions.py",
    "operator/aftercall/operator/demand.py",
    "operator/aftercall/operator/elsewhere.py",
    "operator/aftercall/operator/exchange.py",
    "operator/aftercall/operator/grants.py",
    "operator/aftercall/operator/handover.py",
    "operator/aftercall/operator/inventory.py",
    "operator/aftercall/operator/ledger.py",
    "operator/aftercall/operator/pool.py",
    "operator/aftercall/operator/processes.py",
    "operator/aftercall/operator/rivals.py",
    "operator/aftercall/operator/presence.py",
    "operator/aftercall/operator/samples.py",
    "operator/aftercall/operator/scaling.py",
    "operator/aftercall/operator/simulator",
    "operator/aftercall/operator/status.py",
    "operator/aftercall/operator/tenancy.py",
    "operator/aftercall/operator/told.py",
    "operator/aftercall/operator/unread.py",
    "operator/aftercall/operator/victims.py",
)
IMPURE = {"asyncio", "logging", "os", "random", "socket", "subprocess", "threading", "time", "pathlib", "io"}
HEAVY = {
    "av",
    "chdb",
    "clickhouse_connect",
    "ctranslate2",
    "fastapi",
    "faster_whisper",
    "httpx2",
    "kafka",
    "kopf",
    "lightkube",
    "obstore",
    "onnxruntime",
    "opentelemetry.sdk",
    "prometheus_client",
    "rich",
    "typer",
    "uvicorn",
}


def modules(part: str) -> list[pathlib.Path]:
    """Return every module file of a source root."""
    return sorted((ROOT / part / "aftercall").rglob("*.py"))


def imports(path: pathlib.Path, *, top_level_only: bool = False) -> set[str]:
    """Return the full names that a module imports; `from a import b` counts as `a.b`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("part", SOURCE_ROOTS)
def test_parts_import_only_parts_below_them(part: str) -> None:
    """`cli` over `api` over `operator | consumers` over `serve` over `contracts`."""
    above = SOURCE_ROOTS[SOURCE_ROOTS.index(part) + 1 :]
    if part == "operator":
        above = (*above, "consumers")

    offenders = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(part)
        for name in imports(path)
        if any(name.startswith(f"aftercall.{upper}.") or name == f"aftercall.{upper}" for upper in above)
    }

    assert set() == offenders


@pytest.mark.parametrize("place", PURE)
def test_pure_modules_stay_pure(place: str) -> None:
    """Decisions use the standard library, numpy and pure modules of ours; no clock, environment, logging or asyncio."""
    path = ROOT / place
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    assert files
    allowed_ours = {module_name(ROOT / pure) for pure in PURE} | {"aftercall.contracts"}

    offenders = set()
    for file in files:
        for name in imports(file):
            top = name.partition(".")[0]
            if top == "aftercall":
                if not any(f"{name}.".startswith(f"{ours}.") for ours in allowed_ours):
                    offenders.add(f"{file.relative_to(ROOT)}: {name}")
            elif top in IMPURE or (top not in sys.stdlib_module_names and top != "numpy"):
                offenders.add(f"{file.relative_to(ROOT)}: {name}")
            if name in {"datetime.datetime.now", "uuid.uuid4"}:
                offenders.add(f"{file.relative_to(ROOT)}: {name}")

    assert set() == offenders


def module_name(path: pathlib.Path) -> str:
    """Return the dotted name of a module or package, without its source root."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])


def test_contracts_import_nothing_of_ours_and_no_heavy_library() -> None:
    """What every part agrees on works with the core dependencies alone."""
    names = {name.partition(".")[0] for path in modules("contracts") for name in imports(path)}

    assert names <= set(sys.stdlib_module_names) | {"aftercall", "pydantic", "pydantic_core", "yaml", "numpy"}


@pytest.mark.parametrize("part", SOURCE_ROOTS)
def test_every_module_imports_without_any_extra_but_its_adapters(part: str) -> None:
    """A heavy library is imported at the top of at most its own adapter, so that packages import without extras."""
    code = (
        "import sys, importlib, pkgutil\n"
        f"for name in {sorted(HEAVY)!r}: sys.modules[name] = None\n"
        "import aftercall\n"
        f"importlib.import_module('aftercall.{part}')\n"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")


def test_source_roots_are_no_packages() -> None:
    """A source root, the namespace, and tests have no `__init__.py`, or `operator/` would shadow Python's own."""
    offenders = [
        path.relative_to(ROOT).as_posix()
        for part in SOURCE_ROOTS
        for path in (ROOT / part / "__init__.py", ROOT / part / "aftercall" / "__init__.py")
        if path.exists()
    ] + [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("__init__.py")]

    assert offenders == []


def test_no_module_takes_the_name_of_a_standard_library_module() -> None:
    """A script run from its own folder would import ours instead of Python's."""
    offenders = [
        path.relative_to(ROOT).as_posix()
        for part in SOURCE_ROOTS
        for path in modules(part)
        if path.stem in sys.stdlib_module_names and path.stem != "__init__"
    ]

    assert offenders == []


def test_the_checkout_shadows_nothing_of_the_standard_library() -> None:
    """A clean interpreter (`-S`: no site-packages that could hide it) in the repository root gets Python's modules."""
    code = "import operator, functools, dataclasses, json, types; print(operator.itemgetter(0)('a'))"

    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert (done.stdout, done.stderr, done.returncode) == ("a\n", "", 0)


def test_modules_stay_small() -> None:
    """One module, one noun: 400 lines is a smell, and nothing is longer."""
    offenders = {
        path.relative_to(ROOT).as_posix(): lines
        for part in SOURCE_ROOTS
        for path in modules(part)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }

    assert offenders == {}


def test_no_drawer_modules() -> None:
    """A module is a noun or an activity, never a drawer."""
    drawers = {"utils", "util", "helpers", "common", "manager", "misc", "base", "core"}

    assert [str(path) for part in SOURCE_ROOTS for path in modules(part) if path.stem in drawers] == []
