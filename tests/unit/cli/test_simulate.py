"""`aftercall simulate`: what it prints and writes, and how it refuses."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from typer import testing

from aftercall.cli import main
from aftercall.contracts import errors

QUICK = ("--hours", "0.5", "--capacity", "20", "--max", "6", "--cold-start", "30")


def simulate(*arguments: str) -> testing.Result:
    """Run it."""
    return testing.CliRunner(env={"COLUMNS": "200"}).invoke(main.app, ["simulate", *arguments], catch_exceptions=False)


def test_policies_stand_side_by_side(tmp_path: pathlib.Path) -> None:
    """On the screen, as JSON and as a page that needs nothing from elsewhere."""
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"

    done = simulate("monday", *QUICK, "--price", "0.8", "--html", str(page), "--json", str(figures))

    assert 0 == done.exit_code
    told = json.loads(figures.read_text())
    assert ["aftercall", "KEDA and HPA", "Ray Serve", "oracle"] == list(told["policies"])
    for name, one in told["policies"].items():
        assert name in done.stdout
        assert one["waits"]["calls"] == sum(each["calls"] for each in one["tenants"].values()) > 10
        assert one["cost"] == pytest.approx(0.8 * one["gpu_hours"])
    shown = page.read_text()
    assert 2 == shown.count("<svg")
    assert not re.search(r"(src|href)=.https?:|@import|<script", shown)
    assert all(name in shown for name in told["policies"])


def test_a_seed_says_the_same_again(tmp_path: pathlib.Path) -> None:
    """And another something else."""
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file, seed in zip(files, ("3", "3", "4"), strict=True):
        simulate("diurnal", *QUICK, "--seed", seed, "--json", str(file))

    first, again, other = (file.read_text() for file in files)
    assert first == again
    assert first != other


def test_headroom_may_be_below_zero_as_a_pools_may(tmp_path: pathlib.Path) -> None:
    """Then calls wait longer, and fewer hours are paid."""
    files = [tmp_path / name for name in ("none", "below")]
    for file, headroom in zip(files, ("0", "-0.5"), strict=True):
        assert 0 == simulate("diurnal", *QUICK, "--headroom", headroom, "--json", str(file)).exit_code

    none, below = (json.loads(file.read_text())["policies"]["aftercall"] for file in files)
    assert below["gpu_hours"] < none["gpu_hours"]
    assert below["waits"]["p50_s"] > none["waits"]["p50_s"]


def test_ones_own_calls(tmp_path: pathlib.Path) -> None:
    """From a file with a line each."""
    calls = tmp_path / "calls.csv"
    calls.write_text("at_s,tenant,audio_s\n" + "".join(f"{at * 20},acme,120\n" for at in range(60)))

    done = simulate(str(calls), "--capacity", "20", "--max", "4")

    assert 0 == done.exit_code
    assert "calls.csv: 60 calls of 1 tenant in" in done.stdout


def test_ones_own_tenants_may_have_limits_and_other_promises(tmp_path: pathlib.Path) -> None:
    """Said on the page and beside the table; with figures alone for scripts."""
    calls, page = tmp_path / "calls.csv", tmp_path / "page.html"
    rows = [f"{at * 20},{tenant},120\n" for at in range(60) for tenant in ("acme", "bulk")]
    calls.write_text("at_s,tenant,audio_s\n" + "".join(rows), encoding="utf-8-sig")
    asked = (str(calls), "--capacity", "20", "--due", "bulk=7200", "--limit", "acme=60")

    shown = simulate(*asked, "--html", str(page)).stdout
    figures = json.loads(simulate(*asked, "--json", "-").stdout)

    said = "acme: held to its limit of 60 audio-seconds a minute; what that makes late is promised nothing."
    for each in (shown, page.read_text()):
        assert said in each
        assert "bulk: due in 7200 s." in each
    assert {"limit_per_s": 1.0, "weight": 1.0, "promise_s": None} == figures["traffic"]["tenants"]["acme"]
    assert figures["policies"]["aftercall"]["late_share"] < 0.02
    assert "headroom 0, drain target 150 s" in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--due", "acme"), "--due acme: a tenant and a number over 0"),
        (("--limit", "acme=-1"), "--limit acme=-1"),
        (("--limit", "nobody=5"), "nobody is no tenant of diurnal: acme, brightline"),
        (("--min", "5", "--max", "4"), "--min 5 is over --max 4"),
        (("--capacity", "0"), "--capacity"),
        (("--drain", "2"), "--drain"),
        (("--headroom", "-0.6"), "--headroom"),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """By the name of the option."""
    done = simulate(*arguments)

    assert 2 == done.exit_code
    assert said in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--capacity", "0.001", "--peak", "20", "--max", "1", "--hours", "48"), r"days; see --capacity"),
        (("--limit", "acme=1"), r"limits let the last of it through .* days after it came; see --limit"),
        (("--html", "/nowhere/page.html"), "/nowhere/page.html cannot be written: No such file"),
    ],
)
def test_what_would_never_end_or_lead_nowhere_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """With the option that says so."""
    with pytest.raises(errors.ConfigurationError, match=said):
        simulate("diurnal", *(QUICK if arguments[0] != "--capacity" else ()), *arguments)


@pytest.mark.parametrize(
    ("traffic", "said"),
    [
        ("mondy", "no traffic and no file is named mondy; did you mean monday?"),
        ("retrystorm", "did you mean retry-storm?"),
        ("tuesdays.csv", "named tuesdays.csv; there are diurnal, monday, .*, retry-storm, or a CSV file's path"),
        ("/", "/ cannot be read: Is a directory"),
    ],
)
def test_traffic_that_nobody_knows_is_refused(traffic: str, said: str) -> None:
    """With what was meant, or what there is; never with an error's number."""
    with pytest.raises(errors.ConfigurationError, match=said) as refused:
        simulate(traffic)

    assert "Errno" not in str(refused.value)


def test_what_is_no_text_is_refused(tmp_path: pathlib.Path) -> None:
    """A spreadsheet, or another encoding."""
    calls = tmp_path / "calls.csv"
    calls.write_bytes(b"at_s,tenant,audio_s\n0,caf\xe9,1\n")

    with pytest.raises(errors.ConfigurationError, match=r"calls\.csv is no text in UTF-8"):
        simulate(str(calls))


def test_settings_of_every_policy_are_said(tmp_path: pathlib.Path) -> None:
    """On the screen, on the page and for scripts: KEDA's threshold too, and where it is from."""
    page = tmp_path / "page.html"
    shown = simulate("diurnal", *QUICK, "--html", str(page)).stdout
    told = json.loads(simulate("diurnal", *QUICK, "--json", "-").stdout)["settings"]
    asked = json.loads(simulate("diurnal", *QUICK, "--lag-threshold", "12", "--json", "-").stdout)["settings"]

    assert ["aftercall", "KEDA and HPA", "Ray Serve", "oracle"] == list(told)
    assert told["KEDA and HPA"].startswith("8 calls a replica (as many as a replica does within that drain target)")
    assert asked["KEDA and HPA"].startswith("12 calls a replica (as asked for)")
    for name, settings in told.items():
        assert f"{name}: {settings}." in " ".join(shown.split())
        assert settings in page.read_text()


def test_the_page_shows_what_was_asked_for_beside_what_works(tmp_path: pathlib.Path) -> None:
    """Replicas cost from the moment they are asked for: two lines for each policy, one of them dotted."""
    page = tmp_path / "page.html"

    simulate("monday", *QUICK, "--html", str(page))

    shown = page.read_text()
    assert "asked for, and paid" in shown
    assert 4 == len(re.findall(r"stroke-dasharray: 0\.8,1\.32", shown))
