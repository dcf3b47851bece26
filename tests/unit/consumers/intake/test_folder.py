"""The watched folder: which files are recordings, and when they are complete."""

from __future__ import annotations

import hashlib
import os
import pathlib

import pytest

from aftercall.consumers import observer
from aftercall.consumers.intake import database, folder
from aftercall.contracts import events

PurePath = pathlib.PurePath


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("acme/call 1.wav", folder.Named("acme", "call 1")),
        ("acme/call.v2.final.mp3", folder.Named("acme", "call.v2.final")),
        ("acme/noextension", folder.Named("acme", "noextension")),
        ("stray.wav", folder.Skipped("layout")),
        ("acme/2026/call.wav", folder.Skipped("layout")),
        (".hidden/call.wav", folder.Skipped("hidden")),
        ("acme/.call.wav", folder.Skipped("hidden")),
        ("acme/call.wav.part", folder.Skipped("unfinished")),
        ("acme/call.wav~", folder.Skipped("unfinished")),
        ("acme/call.json", folder.Skipped("sidecar")),
        ("acme/" + "x" * 201 + ".wav", folder.Skipped("invalid_id")),
    ],
)
def test_paths_are_read_as_tenant_and_call(path: str, expected: object) -> None:
    """What is none says why."""
    assert expected == folder.name_of(PurePath(path))


class Bench:
    """A source over a real folder, with time in hand."""

    def __init__(self, tmp_path: pathlib.Path, db: database.Database) -> None:
        self.root = tmp_path / "in"
        (self.root / "acme").mkdir(parents=True, exist_ok=True)
        self.now_s = 0.0
        self.events: list[events.RecordingReady] = []
        self.source = folder.FolderSource(
            self.root,
            db,
            self._publish,
            interval_s=1,
            settle_s=2,
            clock=lambda: self.now_s,
            observe=observer.Unobserved(),
        )

    async def _publish(self, event: events.RecordingReady) -> None:
        self.events.append(event)

    async def scan(self, *moments_s: float) -> None:
        """Look at each of these moments."""
        for self.now_s in moments_s:
            await self.source.scan()


@pytest.fixture
async def bench(tmp_path: pathlib.Path) -> object:
    """A source with a database of its own."""
    db = database.Database(tmp_path / "state.sqlite")
    await db.open()
    yield Bench(tmp_path, db)
    await db.close()


async def test_a_file_is_taken_once_it_has_stopped_changing(bench: Bench) -> None:
    """Not while it is still being copied."""
    path = bench.root / "acme" / "call.wav"
    path.write_bytes(b"half")
    await bench.scan(0, 1)
    path.write_bytes(b"the whole of it")
    await bench.scan(1.5, 3)
    assert [] == bench.events

    await bench.scan(3.6, 10)

    digest = hashlib.sha256(b"the whole of it").hexdigest()
    assert [("acme", "call", f"sha256:{digest}")] == [
        (event.tenant, event.call_id, event.version) for event in bench.events
    ]


async def test_another_content_is_another_version(bench: Bench) -> None:
    """The name is the call's; the content decides which recording of it."""
    path = bench.root / "acme" / "call.wav"
    path.write_bytes(b"one")
    await bench.scan(0, 5)
    path.write_bytes(b"two!")
    await bench.scan(6, 20)

    assert 2 == len({event.version for event in bench.events})


async def test_an_empty_file_is_a_recording_too(bench: Bench) -> None:
    """It gets its own outcome, rather than being waited for for ever."""
    (bench.root / "acme" / "empty.wav").touch()
    await bench.scan(0, 5)

    assert ["empty"] == [event.call_id for event in bench.events]


async def test_a_sidecar_tells_about_the_call(bench: Bench) -> None:
    """But never whose it is."""
    (bench.root / "acme" / "call.wav").write_bytes(b"x")
    (bench.root / "acme" / "call.json").write_text('{"language": "es", "tenant": "other", "channels": [{"index": 0}]}')
    await bench.scan(0, 5)

    (event,) = bench.events
    assert ("acme", "es", 1) == (event.tenant, event.language, len(event.channels))


@pytest.mark.parametrize("text", ["{", "[]", '{"channels": 5}', '{"duration_s": -1}'])
async def test_a_broken_sidecar_costs_its_call_nothing_but_itself(bench: Bench, text: str) -> None:
    """The recording is transcribed without it."""
    (bench.root / "acme" / "call.wav").write_bytes(b"x")
    (bench.root / "acme" / "call.json").write_text(text)
    await bench.scan(0, 5)

    assert ["call"] == [event.call_id for event in bench.events]


async def test_links_and_pipes_are_left_alone(bench: Bench) -> None:
    """A link may lead anywhere, and a pipe never ends."""
    (bench.root / "acme" / "link.wav").symlink_to("/etc/passwd")
    os.mkfifo(bench.root / "acme" / "pipe.wav")
    (bench.root / "linked").symlink_to("/etc")
    await bench.scan(0, 5)

    assert [] == bench.events


async def test_a_restart_reads_no_file_again(bench: Bench, tmp_path: pathlib.Path) -> None:
    """What was queued is remembered."""
    (bench.root / "acme" / "call.wav").write_bytes(b"x")
    await bench.scan(0, 5)
    again = Bench(tmp_path, bench.source._db)
    again.source._done = await again.source._remembered()

    await again.scan(0, 5)

    assert [] == again.events
