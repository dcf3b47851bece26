"""The chart's files: named as what they are, documented, generated files fresh. Nothing is rendered here."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import types

import pytest
import yaml

from aftercall.contracts import crds

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "aftercall"
TEMPLATES = sorted((CHART / "templates").glob("*/*.yaml"))
SAMPLES = sorted((CHART / "samples").glob("*.yaml"))


def script(name: str) -> types.ModuleType:
    """Return a script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["chart_readme", "chart_schema"])
def test_generated_files_are_fresh(name: str) -> None:
    """The chart's README and schema are what their scripts write."""
    done = subprocess.run(
        [sys.executable, f"scripts/{name}.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stderr


def test_every_value_is_documented() -> None:
    """A value without a comment is named; so is one in a map of others."""
    readme = script("chart_readme")
    text = (CHART / "values.yaml").read_text()

    assert [] == readme.undocumented(text)
    assert ["a.c"] == readme.undocumented("a:\n  # -- Said.\n  b: 1\n  c: 2\n")


def test_every_value_is_in_the_schema() -> None:
    """And nothing is in the schema's own maps that values.yaml does not have."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def at(found: dict[str, object], plain: object, path: str) -> list[str]:
        if "$ref" in found:
            name = str(found["$ref"]).removeprefix("#/definitions/")
            if name in {"pod", "resources", "settings"} or name.startswith("settings."):
                return []
            found = schema["definitions"][name]
        properties = found.get("properties")
        if not isinstance(properties, dict) or not isinstance(plain, dict):
            return []
        apart = [f"{path}{name}" for name in sorted(set(properties) ^ set(plain))]
        return apart + [
            one for name in set(properties) & set(plain) for one in at(properties[name], plain[name], f"{path}{name}.")
        ]

    assert [] == at(schema, values, "")


def test_templates_are_named_after_component_and_kind() -> None:
    """`relay/relay.deployment.yaml`; parts of templates begin with an underscore."""
    for path in TEMPLATES:
        component, _, rest = path.name.partition(".")
        assert path.parent.name == component, path
        assert re.fullmatch(r"[a-z0-9]+\.yaml", rest), path
    for path in (CHART / "templates").glob("*.tpl"):
        assert path.name.startswith("_"), path


def test_samples_are_numbered_and_say_what_they_are() -> None:
    """From 01 on, without a gap; the first lines are a comment."""
    assert [f"{at:02}" for at in range(1, len(SAMPLES) + 1)] == [path.name.partition("-")[0] for path in SAMPLES]
    for path in SAMPLES:
        assert path.name.endswith(".values.yaml")
        assert path.read_text().startswith("# ")


def test_crds_are_those_of_the_code() -> None:
    """Each has its file, which is what the chart templates."""
    files = {path.name: path.read_text() for path in (CHART / "files" / "crds").glob("*.yaml")}

    assert crds.files() == files


def test_artifact_hub_is_told_the_truth() -> None:
    """Annotations parse; CRDs are ours, and the examples of them are taken by our own models."""
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    told = {one["name"] for one in yaml.safe_load(annotations["artifacthub.io/crds"])}
    examples = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])

    assert {f"{plural}.aftercall.io" for plural in crds.definitions()} == told
    assert {"Tenant", "TranscriptionPool"} == {one["kind"] for one in examples}
    for one in yaml.safe_load(annotations["artifacthub.io/changes"]):
        assert one["kind"] in {"added", "changed", "deprecated", "removed", "fixed", "security"}


def test_no_secret_is_made_up_and_no_value_is_one() -> None:
    """Nothing random, which would change with every rendering; secrets come by name, but for trials."""
    text = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())

    assert not re.search(r"\brand(AlphaNum|Alpha|Ascii|Bytes)\b|genPrivateKey|genSelfSigned|uuidv4", text)
    assert ["dev.secret.yaml"] == [path.name for path in TEMPLATES if "kind: Secret\n" in path.read_text()]
