"""The tenants file: taken whole, taken again, and never half."""

from __future__ import annotations

import asyncio
import pathlib

import pytest

from aftercall.consumers import observer, tenants
from aftercall.consumers.intake import admission, turns
from aftercall.contracts import errors, settings

GOOD = """
- name: acme
  weight: 4
  audio_seconds_per_minute: 600
- name: globex
  concurrency: 2
  audio_seconds_per_minute: 12
  burst_audio_seconds: 90
"""


def load(path: pathlib.Path) -> tuple[tenants.Tenants, observer.PrometheusObserver]:
    """Load a file, and what observes it."""
    observe = observer.PrometheusObserver()
    return tenants.Tenants(settings.load({}, overrides={"intake": {"tenants_file": path}}), observe), observe


def test_policies_become_terms(tmp_path: pathlib.Path) -> None:
    """Weights, limits by the second, bursts of at least a window; who is not listed has no limit."""
    (tmp_path / "t.yaml").write_text(GOOD)
    found, _ = load(tmp_path / "t.yaml")

    assert turns.Terms(4.0, admission.Limit(10.0, 600.0), None) == found.terms("acme")
    assert turns.Terms(1.0, admission.Limit(0.2, 90.0), 2) == found.terms("globex")
    assert turns.Terms() == found.terms("nobody")


def test_a_bad_edit_keeps_the_last_good_file(tmp_path: pathlib.Path) -> None:
    """And is told, until it is mended; even where the file is gone for a while."""
    path = tmp_path / "t.yaml"
    path.write_text(GOOD)
    found, observe = load(path)

    for broken in ("- name: acme\n  wieght: 2", "{", "tenants: 3", "- name: a\n- name: a", "- 7", None):
        path.write_text(broken) if broken is not None else path.unlink()
        found.look()
        assert 4.0 == found.terms("acme").weight
        assert b"aftercall_intake_tenants_file_invalid 1.0" in observe.exposition()
    path.write_text("tenants:\n- name: acme\n  weight: 2\n")
    found.look()

    assert 2.0 == found.terms("acme").weight
    assert b"aftercall_intake_tenants_file_invalid 0.0" in observe.exposition()


async def test_whoever_waits_for_a_limit_hears_that_it_is_another(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each file that is taken, and not for a bad one."""
    monkeypatch.setattr(tenants, "_LOOK_S", 0.01)
    path, stopping, heard = tmp_path / "t.yaml", asyncio.Event(), asyncio.Queue[float]()
    path.write_text(GOOD)
    found, _ = load(path)
    watching = asyncio.create_task(found.watch(stopping, lambda: heard.put_nowait(found.terms("acme").weight)))
    for text in ("- name: acme\n  weight: 2\n", "{", "- name: acme\n  weight: 3\n"):
        await asyncio.sleep(0.1)
        path.write_text(text)
    async with asyncio.timeout(10):
        assert [2.0, 3.0] == [await heard.get(), await heard.get()]
    stopping.set()
    await watching

    assert heard.empty()


def test_a_file_that_is_bad_from_the_start_is_told_whole(tmp_path: pathlib.Path) -> None:
    """Every mistake of it."""
    path = tmp_path / "t.yaml"
    path.write_text("- name: a\n  weight: 0\n- name: ..\n- name: b\n  redaction: true\n")
    with pytest.raises(errors.ConfigurationError) as caught:
        load(path)

    assert 3 == len(str(caught.value).splitlines())


def test_a_folder_is_read_whole(tmp_path: pathlib.Path) -> None:
    """Its files and those of its folders, as ConfigMaps are mounted; what begins with a dot is not looked at twice."""
    (tmp_path / "a.yaml").write_text("- name: acme\n  weight: 4\n")
    (tmp_path / "notes.txt").write_text("{")
    mounted = tmp_path / "shard-1" / "..2026_03_01"
    mounted.mkdir(parents=True)
    (mounted / "tenants.yaml").write_text('{"tenants": [\n{"name": "globex", "weight": 2.0}\n]}\n')
    (tmp_path / "shard-1" / "..data").symlink_to("..2026_03_01")
    (tmp_path / "shard-1" / "tenants.yaml").symlink_to("..data/tenants.yaml")
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "tenants.yaml").write_text("{")

    found, _ = load(tmp_path)

    assert (2, 4.0, 2.0) == (len(found), found.terms("acme").weight, found.terms("globex").weight)


def test_an_empty_folder_is_no_tenants_yet(tmp_path: pathlib.Path) -> None:
    """Everybody waits; once there are files, whoever is in them is known."""
    found, _ = load(tmp_path)
    assert not found.is_known("acme")

    (tmp_path / "a.yaml").write_text("- name: acme\n")
    found.look()

    assert found.is_known("acme")


def test_a_tenant_in_two_files_is_a_problem(tmp_path: pathlib.Path) -> None:
    """The last good whole stays, until it stands in one only."""
    (tmp_path / "a.yaml").write_text("- name: acme\n  weight: 4\n")
    found, observe = load(tmp_path)

    (tmp_path / "b.yaml").write_text("- name: acme\n  weight: 2\n")
    found.look()
    assert 4.0 == found.terms("acme").weight
    assert b"aftercall_intake_tenants_file_invalid 1.0" in observe.exposition()
    with pytest.raises(errors.ConfigurationError, match=r"b\.yaml: tenant acme is listed twice, also in .*a\.yaml"):
        load(tmp_path)

    (tmp_path / "a.yaml").unlink()
    found.look()

    assert 2.0 == found.terms("acme").weight
    assert b"aftercall_intake_tenants_file_invalid 0.0" in observe.exposition()


def test_a_folder_that_is_gone_keeps_the_last_good_one(tmp_path: pathlib.Path) -> None:
    """It is not the same as one without tenants."""
    folder = tmp_path / "tenants"
    folder.mkdir()
    (folder / "a.yaml").write_text("- name: acme\n")
    found, observe = load(folder)

    (folder / "a.yaml").unlink()
    folder.rmdir()
    found.look()

    assert found.is_known("acme")
    assert b"aftercall_intake_tenants_file_invalid 1.0" in observe.exposition()
