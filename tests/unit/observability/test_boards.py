"""The boards are what people on call can read, on any Grafana, and are the same each time they are generated."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest

from observability import __main__ as generator
from observability.dashboards import boards

ROOT = pathlib.Path(__file__).resolve().parents[3]
MADE = {name: json.loads(text) for name, text in boards.render().items()}
PANELS = [
    pytest.param(panel, id=f"{board['uid']}: {panel['title']}")
    for board in MADE.values()
    for panel in board["panels"]
    if panel["type"] != "row"
]
EVERY = pytest.mark.parametrize("board", MADE.values(), ids=lambda board: board["uid"])


def test_files_are_not_stale() -> None:
    """`python -m observability` has been run."""
    assert 0 == generator.main(["--check"])


def test_the_same_boards_are_the_same_bytes() -> None:
    """In another process, with other hashes."""
    code = "from observability.dashboards import boards; print(*boards.render().values(), sep='', end='')"
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2")
    ]

    assert told[0] == told[1] == "".join(boards.render().values()).encode()


def test_uids_stay_what_they_are() -> None:
    """People keep links to them."""
    expected = ["backend", "latency", "operator", "overview", "tenants"]
    assert [f"aftercall-{name}" for name in expected] == sorted(board["uid"] for board in MADE.values())
    assert [f"{board['uid']}.json" for board in MADE.values()] == list(MADE)


@EVERY
def test_a_board_has_the_variables_and_links_of_all(board: dict[str, Any]) -> None:
    """One chooses data source, namespace, pool and tenant once, and takes them along."""
    names = [variable["name"] for variable in board["templating"]["list"] if variable["name"] != "price"]
    assert ["datasource", "namespace", "pool", "tenant", "runbooks"] == names
    for variable in board["templating"]["list"]:
        if variable["name"] in {"namespace", "pool", "tenant"}:
            assert (True, True, ".*") == (variable["multi"], variable["includeAll"], variable["allValue"])
    to_boards, to_runbooks = board["links"]
    assert ("dashboards", ["aftercall"], True, True) == (
        *(to_boards["type"], to_boards["tags"]),
        *(to_boards["includeVars"], to_boards["keepTime"]),
    )
    assert "${runbooks}/README.md" == to_runbooks["url"]
    assert "aftercall" in board["tags"]
    assert ["Scale changes"] == [one["name"] for one in board["annotations"]["list"] if "expr" in one]


@EVERY
def test_a_board_names_no_data_source_and_fits_a_config_map(board: dict[str, Any]) -> None:
    """Whoever has another data source than ours chooses it."""

    def sources(part: Any) -> list[Any]:
        if isinstance(part, list):
            return [found for each in part for found in sources(each)]
        if isinstance(part, dict):
            own = [part["datasource"]] if "datasource" in part else []
            return own + [found for each in part.values() for found in sources(each)]
        return []

    assert [] == [one for one in sources(board) if one != {"type": "prometheus", "uid": "${datasource}"}]
    assert len(json.dumps(board, indent=1).encode()) < 2**20


@EVERY
def test_panels_lie_side_by_side(board: dict[str, Any]) -> None:
    """None covers another, and each has an id of its own."""
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """In a sentence or more, with a unit and a legend for each of its queries, of what was chosen above."""
    assert panel["description"].endswith((".", "`.")) or panel["description"].endswith("done each second.")
    assert len(panel["description"]) > 30
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    letters = [target["refId"] for target in panel["targets"]]
    assert len(letters) == len(set(letters))
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert 'namespace=~"$namespace"' in target["expr"]
        assert target["expr"].count("(") == target["expr"].count(")")


def test_latencies_lead_to_traces() -> None:
    """Quantiles of calls and stages ask for exemplars."""
    with_exemplars = {
        panel["title"]
        for panel in MADE["aftercall-latency.json"]["panels"]
        for target in panel.get("targets", ())
        if target["exemplar"]
    }

    assert {"From event to transcript", "How calls spread", "Stages, p50", "Stages, p95"} == with_exemplars


@EVERY
def test_a_choice_that_is_shown_changes_some_picture(board: dict[str, Any]) -> None:
    """One that changes nothing is there for links to other boards, out of sight."""
    asked = " ".join(target["expr"] for panel in board["panels"] for target in panel.get("targets", ()))
    shown = {each["name"] for each in board["templating"]["list"] if not each.get("hide")} - {"datasource"}

    assert {name for name in ("namespace", "pool", "tenant", "price") if f"${name}" in asked} == shown


@pytest.mark.parametrize("panel", PANELS)
def test_pools_of_one_name_in_two_namespaces_stay_apart(panel: dict[str, Any]) -> None:
    """As lines and as names of lines."""
    for target in panel["targets"]:
        for labels in re.findall(r"\bby \(([^)]*)\)", target["expr"]):
            found = [label.strip() for label in labels.split(",")]
            assert "pool" not in found or "namespace" in found
        assert "{{pool}}" not in target["legendFormat"] or "{{namespace}}" in target["legendFormat"]


def test_a_thousand_tenants_are_no_thousand_lines() -> None:
    """Of every picture with a line for each tenant the largest few are drawn; tables list all."""
    lines = [
        (board, panel["title"], target["expr"])
        for board, made in MADE.items()
        for panel in made["panels"]
        if panel["type"] == "timeseries"
        for target in panel["targets"]
        if "{{tenant}}" in target["legendFormat"]
    ]

    assert 8 < len(lines)
    assert [] == [one for one in lines if "topk(20, " not in one[2]]


def test_money_has_the_currency_of_its_price() -> None:
    """Which is typed in, in any."""
    assert not [panel for board in MADE.values() for panel in board["panels"] if "currency" in json.dumps(panel)]
