"""Images: pinned, not root, nothing fetched at run time. No container runs here, so their files are read."""

from __future__ import annotations

import pathlib
import re
import tomllib

import pytest
from packaging import requirements

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


def instructions(file: pathlib.Path) -> list[tuple[str, str]]:
    """Return the instructions of a file, continued lines joined and comments left out."""
    text = "\n".join(line for line in file.read_text().splitlines() if not line.lstrip().startswith("#"))
    joined = text.replace("\\\n", " ")
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def last_stage(file: pathlib.Path) -> list[tuple[str, str]]:
    """Return the instructions of what is shipped."""
    found = instructions(file)
    at = max(at for at, (name, _) in enumerate(found) if name == "FROM")
    return found[at:]


def test_there_is_one_for_each_role() -> None:
    """The command, Ray and Triton."""
    assert ["aftercall", "ray", "triton"] == [file.name.partition(".")[0] for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_bases_are_pinned(file: pathlib.Path) -> None:
    """By a whole version, never by what is newest today."""
    defaults = dict(value.split("=", 1) for name, value in instructions(file) if name == "ARG" and "=" in value)
    for name, value in instructions(file):
        if name == "FROM":
            image = value.split()[0]
            image = defaults[image[2:-1]] if image.startswith("${") else image
            assert re.search(r":\d+\.\d+", image), image


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nobody_is_root_and_nothing_is_fetched_later(file: pathlib.Path) -> None:
    """A numeric user, so that Kubernetes can see that it is not root; hubs are off; stopped as a drain begins."""
    shipped = last_stage(file)
    told = dict(shipped)

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", told["USER"])
    assert "HF_HUB_OFFLINE=1" in told["ENV"]
    assert "SIGTERM" == told["STOPSIGNAL"]
    after_user = shipped[[name for name, _ in shipped].index("USER") :]
    assert not [value for name, value in after_user if name in {"RUN", "ADD", "COPY"}]
    assert not [value for name, value in shipped if name == "ADD" or re.search(r"https?://|curl ", value)]
    assert told.keys() & {"CMD", "ENTRYPOINT"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_copied_is_there(file: pathlib.Path) -> None:
    """And is not kept out by `.dockerignore`."""
    kept_out = (ROOT / ".dockerignore").read_text().split()
    for name, value in instructions(file):
        if name == "COPY" and "--from" not in value and value != ". .":
            source = value.split()[0].replace("${CONSTRAINTS}", "constraints.txt")
            assert (ROOT / source).is_file(), source
            assert source.split("/")[0] not in kept_out
    for needed in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "contracts",
        "serve",
        "consumers",
        "operator",
        "api",
        "cli",
    ):
        assert needed not in kept_out


@pytest.mark.parametrize(
    ("constraints", "extras"),
    [
        ("constraints.txt", {"serve", "triton", "ray", "consumers", "operator", "api", "cli", "local", "eval"}),
        ("constraints-diarization.txt", {"diarization"}),
    ],
)
def test_what_is_installed_is_pinned_within_our_bounds(constraints: str, extras: set[str]) -> None:
    """Every requirement of ours has one version in the file, and it is one that we take."""
    lines = (ROOT / "docker" / constraints).read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    for text in wanted:
        one = requirements.Requirement(text)
        name = one.name.lower().replace("_", "-").replace(".", "-")
        if name == "aftercall" or (constraints != "constraints.txt" and text in project["dependencies"]):
            continue
        found = pinned.get(name, pinned.get(one.name.lower()))
        assert found is not None, name
        assert one.specifier.contains(found), f"{name} {found}"
