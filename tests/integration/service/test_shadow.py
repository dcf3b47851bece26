"""A second backend on trial: figures of how far it agrees are kept, nothing else of it, and nothing waits for it."""

from __future__ import annotations

import asyncio
import json
import pathlib
import re
import shutil
from typing import Any

import doubles
import material
import pytest

from aftercall.cli import local, shadowing
from aftercall.consumers import observer, shadow
from aftercall.consumers.publish import objects
from aftercall.contracts import errors, identity, outcomes, settings, windows
from aftercall.serve import testing

PLAIN = material.SAMPLES / "recordings" / "acme" / "plain.flac"


class Other(testing.FakeBackend):
    """Hears one word more in every window, or fails, or never ends."""

    def __init__(self, how: str) -> None:
        super().__init__(lambda window: testing.said(window, " hello extra"))
        self.how = how

    async def transcribe(self, window: windows.Window) -> windows.WindowResult:
        """Answer as it was made to."""
        match self.how:
            case "fails":
                raise errors.PermanentError("no", reason=outcomes.Reason.UNSUPPORTED_OPTION)
            case "crashes":
                raise RuntimeError("secret words")
            case "hangs":
                await asyncio.sleep(3600)
        return await super().transcribe(window)


async def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, how: str, share: float = 1.0) -> dict[str, Any]:
    """Transcribe a call with a second backend beside; return what is kept of the comparison, and the outcome."""
    monkeypatch.setattr(shadowing.speech, "backend_of", lambda *_: Other(how))
    # One recording alone: of several the first to end is compared, and not in all of them somebody speaks.
    inbox = tmp_path / "in" / "acme"
    inbox.mkdir(parents=True)
    shutil.copy(PLAIN, inbox)
    configured = settings.load(
        {},
        overrides={
            "data": {"dir": tmp_path / "data"},
            "intake": {"recordings_dir": inbox.parent, "settle_s": 0.0, "scan_interval_s": 0.05},
            "shadow": {"share": share, "model": "other"},
        },
    )
    first = testing.FakeBackend(lambda window: testing.said(window, " hello"))
    async with local.open_service(configured, backend=first) as service:
        await service.start()
        stopping = asyncio.Event()
        running = asyncio.create_task(service.run(stopping))
        async with asyncio.timeout(40):
            while True:
                known = await service.intake.list_reports(limit=50)
                kept = await service.store.keys(identity.COMPARISONS)
                told = _is_counted(service.observe.exposition())
                if known and all(one.stage == "done" for one in known) and (told or not share or how == "hangs"):
                    break
                await asyncio.sleep(0.05)
        (tmp_path / "metrics").write_bytes(service.observe.exposition())
        stopping.set()
        await running
        return {
            "calls": [str(one.outcome) for one in known],
            "kept": [json.loads(await _read(service, k)) for k in kept],
        }


def _is_counted(exposition: bytes) -> bool:
    """Say whether a recording was compared, failed or left out: each is shown from the start, at 0."""
    return re.search(rb"shadow_recordings_total\{[^}]*\} [1-9]", exposition) is not None


async def _read(service: local.LocalService, key: str) -> bytes:
    data = await service.store.get(key)
    assert data is not None
    return data


async def test_agreement_is_kept_in_figures(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every word the first heard, one more a window from the second; no text of either."""
    found = await run(tmp_path, monkeypatch, "agrees")

    kept = found["kept"][0]
    assert kept["failure"] is None
    assert kept["compared_words"] == kept["differing_words"] == kept["first"]["words"] > 0
    assert kept["second"]["words"] == 2 * kept["first"]["words"]
    assert "extra" not in json.dumps(kept)
    assert "canonical" in found["calls"]


@pytest.mark.parametrize("how", ["fails", "crashes"])
async def test_its_failures_are_its_own(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """The call is canonical all the same, and the failure is told without anybody's words."""
    found = await run(tmp_path, monkeypatch, how)

    assert "canonical" in found["calls"]
    assert found["kept"][0]["second"] is None
    assert found["kept"][0]["failure"]
    assert "secret" not in json.dumps(found["kept"])


async def test_nothing_waits_for_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second backend that never answers delays no call and no end of the service."""
    found = await run(tmp_path, monkeypatch, "hangs")

    assert "canonical" in found["calls"]
    assert not found["kept"]


async def test_a_share_of_nothing_is_no_second_backend(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default."""
    found = await run(tmp_path, monkeypatch, "crashes", share=0.0)

    assert not found["kept"]
    assert not _is_counted((tmp_path / "metrics").read_bytes())


def test_the_share_is_the_share() -> None:
    """By the work's own id, so that every consumer decides alike."""
    some = [identity.Work(identity.Recording("acme", f"c{at}"), "1", 1) for at in range(10_000)]

    assert 400 < sum(shadow.is_sampled(work, 0.05) for work in some) < 600
    assert all(shadow.is_sampled(work, 1.0) for work in some)
    assert not any(shadow.is_sampled(work, 0.0) for work in some)


async def test_what_was_deleted_meanwhile_leaves_no_comparison() -> None:
    """And what comes while one runs is left out, and counted."""
    store, observe = objects.ObjectStore.in_memory(), observer.PrometheusObserver()
    taken, made = doubles.taken(), doubles.made()
    free = asyncio.Event()

    async def transcribe(_: object) -> Any:
        await free.wait()
        return made

    trial = shadow.Shadow(transcribe, store, share=1.0, observe=observe, now=lambda: doubles.NOW)
    trial.consider(taken, made)
    trial.consider(doubles.taken("c2"), made)
    await store.put(taken.work.recording.tombstone_key, b"{}")
    free.set()
    assert trial._running is not None
    await trial._running

    assert not await store.keys(identity.COMPARISONS)
    assert b'shadow_recordings_total{result="left_out"} 1.0' in observe.exposition()
    assert b'shadow_recordings_total{result="compared"} 1.0' in observe.exposition()
