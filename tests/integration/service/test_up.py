"""`aftercall up` as a process of its own: the folder, the API, and kill -9 in the middle."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import typing
from collections.abc import Callable, Iterator

import httpx2
import material
import numpy as np
import pytest

AFTERCALL = [sys.executable, "-m", "aftercall.cli"]
DEADLINE_S = 90.0


class Up:
    """A running service, and how to reach it."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.http = httpx2.Client(base_url=address, timeout=20)

    def kill(self) -> None:
        """End it as the kernel would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)

    def listing(self) -> list[dict[str, typing.Any]]:
        """Return every transcription."""
        return typing.cast(
            "list[dict[str, typing.Any]]", self.http.get("/v1/transcriptions?limit=1000").json()["transcriptions"]
        )

    def wait_for(self, done: Callable[[list[dict[str, typing.Any]]], bool]) -> list[dict[str, typing.Any]]:
        """Wait until the listing is as wanted."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            found = self.listing()
            if done(found):
                return found
            time.sleep(0.05)
        raise AssertionError(f"not in {DEADLINE_S} s: {[(one['callId'], one['status']) for one in self.listing()]}")


@contextlib.contextmanager
def up(tmp_path: pathlib.Path, **env: str) -> Iterator[Up]:
    """Start the service on a free port and stop it at the end, whatever happened."""
    settings = {
        "AFTERCALL_SPEECH__MODEL": str(material.MODEL),
        "AFTERCALL_INTAKE__SETTLE_S": "0.2",
        "AFTERCALL_INTAKE__SCAN_INTERVAL_S": "0.1",
        **env,
    }
    process = subprocess.Popen(
        [*AFTERCALL, "up", "--recordings", str(tmp_path / "in"), "--data", str(tmp_path / "data"), "--port", "0"],
        env={**os.environ, **settings},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: (process.kill(), process.wait(20)))
        assert process.stderr is not None
        stack.callback(process.stderr.close)
        for line in process.stderr:
            if line.startswith("aftercall is ready"):
                break
        else:
            raise AssertionError("the service did not start")
        # Its log must not fill the pipe.
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        stack.callback(lambda: (process.kill(), drain.wait(20)))
        service = Up(process, line.split()[3])
        stack.callback(service.http.close)
        yield service


def put(tmp_path: pathlib.Path, name: str, source: pathlib.Path) -> None:
    """Copy a recording into the watched folder, as people do."""
    target = tmp_path / "in" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def done(wanted: int) -> Callable[[list[dict[str, typing.Any]]], bool]:
    """Say whether so many transcriptions have ended."""
    return lambda found: sum(one["status"] in {"completed", "failed"} for one in found) == wanted


def at_least(wanted: int) -> Callable[[list[dict[str, typing.Any]]], bool]:
    """Say whether so many transcriptions are completed."""
    return lambda found: sum(one["status"] == "completed" for one in found) >= wanted


def outcomes_of(data: pathlib.Path) -> list[pathlib.Path]:
    """Return every outcome object."""
    return sorted((data / "objects" / "outcomes").rglob("*.json"))


def test_a_file_put_into_the_folder_comes_out_as_a_transcript(tmp_path: pathlib.Path) -> None:
    """And can be read in every form, by every name it has."""
    with up(tmp_path) as service:
        put(tmp_path, "acme/plain.flac", material.SAMPLES / "recordings" / "acme" / "plain.flac")
        put(tmp_path, "acme/plain.json", material.SAMPLES / "recordings" / "acme" / "plain.json")

        (one,) = service.wait_for(done(1))

        shown = service.http.get(f"/v1/transcriptions/{one['transcriptionId']}").json()
        assert ("completed", "done", "en") == (shown["status"], shown["stage"], shown["language"])
        assert abs(shown["duration"] - 46.43) < 0.01
        assert shown["segmentCount"] == len(shown["text"].splitlines()) > 5
        assert shown["text"].splitlines()[0].startswith("[00:00:00] Anna: ")
        for form, begins in (("text", "[00:"), ("srt", "1\n00:"), ("vtt", "WEBVTT"), ("whisperx", "{"), ("json", "{")):
            got = service.http.get(f"/v1/transcriptions/{one['transcriptionId']}/transcript", params={"format": form})
            assert got.status_code == 200
            assert got.text.startswith(begins)
        status = subprocess.run(
            [*AFTERCALL, "status", "plain", "--data", str(tmp_path / "data"), "--json"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert json.loads(status.stdout)[0]["transcription_id"] == one["transcriptionId"]
        copy = tmp_path / "data" / "objects" / "transcripts" / "acme" / "plain.json"
        assert json.loads(copy.read_text())["transcription_id"] == one["transcriptionId"]


def test_killed_again_and_again_it_loses_nothing_and_does_nothing_twice(tmp_path: pathlib.Path) -> None:
    """Eight calls, six kill -9: one outcome and one transcript each, one piece of news each."""
    calls = sorted(material.CALLS.glob("*.opus"))
    for at, path in enumerate(calls):
        put(tmp_path, f"{'acme' if at % 2 else 'globex'}/{path.name}", path)
    for kill in range(6):
        with up(tmp_path, AFTERCALL_SPEECH__MAX_BATCH_WINDOWS="1", AFTERCALL_INTAKE__MAX_OPEN_CALLS="3") as service:
            service.wait_for(at_least(kill))
            time.sleep(0.15 * kill)  # somewhere in the middle, elsewhere each time
            service.kill()
    with up(tmp_path) as service:
        found = service.wait_for(done(len(calls)))

        assert {"completed"} == {one["status"] for one in found}
        assert len({one["transcriptionId"] for one in found}) == len(calls)
        data = tmp_path / "data"
        assert len(outcomes_of(data)) == len(calls)
        named = {json.loads(path.read_text())["transcript_key"] for path in outcomes_of(data)}
        there = {
            path.relative_to(data / "objects").as_posix()
            for path in (data / "objects" / "transcripts").rglob("*.json")
            if len(path.relative_to(data / "objects").parts) == 4
        }
        assert named <= there
        rows = collections.Counter(_rows(service, data))
        assert len(rows) == len(calls)
        assert set(rows.values()) == {1}
        assert [] == list((data / "spool").iterdir())


_LOOK = """
import asyncio, pathlib, sys
from aftercall.consumers.publish import clickhouse
async def main():
    ch = clickhouse.ClickHouse.embedded(pathlib.Path(sys.argv[1]))
    await ch.open()
    for row in await ch.query("SELECT tenant, call_id FROM recordings_current"):
        print(row["tenant"], row["call_id"])
    await ch.close()
asyncio.run(main())
"""


def _rows(service: Up, data: pathlib.Path) -> list[tuple[str, str]]:
    """Stop the service and read the current recordings from its ClickHouse."""
    time.sleep(1.5)  # the relay looks every half second
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(30)
    # chdb allows one connection a process, so each look is a process of its own.
    out = subprocess.run(
        [sys.executable, "-c", _LOOK, str(data / "clickhouse")], capture_output=True, text=True, timeout=60
    )
    assert out.returncode == 0, out.stderr
    return [tuple(line.split()) for line in out.stdout.splitlines()]  # type: ignore[misc]


def test_bad_recordings_end_by_name_and_touch_no_other(tmp_path: pathlib.Path) -> None:
    """Each gets its outcome; the good call among them comes out; the service goes on."""
    wav = material.wav(material.tone(1, 8000), 8000)
    bad = {
        "empty.wav": (b"", "empty_file"),
        "letter.wav": (b"Dear customer,\n" * 50, "not_audio"),
        "many.wav": (material.wav(np.zeros((800, 64), np.int16), 8000, channels=64), "too_many_channels"),
        "header.flac": (b"fLaC" + bytes(300), "corrupt"),
    }
    good = {
        "one.wav": material.wav(np.zeros(1, np.int16), 8000),
        "fast.wav": material.wav(material.tone(1, 192_000), 192_000),
        "silence.wav": material.wav(np.zeros(80_000, np.int16), 8000),
        "liar.wav": material.wav(material.tone(1, 8000), 8000, data_bytes=10**9),
    }
    folder = tmp_path / "in" / "acme"
    folder.mkdir(parents=True)
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    for name, data in good.items():
        (folder / name).write_bytes(data)
    (folder / ("x" * 230 + ".wav")).write_bytes(wav)  # longer than an id may be
    (tmp_path / "in" / "not-a-tenant.wav").write_bytes(wav)
    put(tmp_path, "acme/voicemail.wav", material.SAMPLES / "recordings" / "acme" / "voicemail.wav")
    with up(tmp_path) as service:
        found = {one["callId"]: one for one in service.wait_for(done(len(bad) + len(good) + 1))}

        for name, (_, reason) in bad.items():
            one = found[name.partition(".")[0]]
            assert ("failed", "rejected", reason) == (one["status"], one["outcome"], one["reason"])
            assert one["message"]
        for name in good:
            one = found[name.partition(".")[0]]
            assert one["status"] == "completed", (name, one["reason"], one["message"])
        assert found["voicemail"]["status"] == "completed"
        silence = service.http.get(f"/v1/transcriptions/{found['silence']['transcriptionId']}").json()
        assert ("", 0, None) == (silence["text"], silence["segmentCount"], silence["coverage"])
        refused = service.http.get(f"/v1/transcriptions/{found['empty']['transcriptionId']}/transcript")
        assert refused.status_code == 409
        assert "empty file" in refused.json()["detail"]
        skipped = service.http.get("/metrics").text
        assert 'aftercall_intake_skipped_total{why="invalid_id"} 1.0' in skipped
        assert 'aftercall_intake_skipped_total{why="layout"} 1.0' in skipped


def test_a_recording_that_goes_before_its_turn_is_rejected(tmp_path: pathlib.Path) -> None:
    """The event is there, the file is not; and one that changed meanwhile is not taken for the other."""
    with up(tmp_path) as service:
        body = (material.SAMPLES / "recordings" / "acme" / "voicemail.wav").read_bytes()
        uploaded = service.http.put("/v1/recordings/acme/gone", content=body)
        assert uploaded.status_code == 201
        service.wait_for(done(1))
        for path in (tmp_path / "data" / "recordings").rglob("*"):
            if path.is_file():
                path.unlink()
        again = service.http.post("/v1/recordings/gone/transcribe", json={"language": "en"})
        assert again.status_code == 202
        found = service.wait_for(done(2))

        assert ("failed", "not_found") == (found[0]["status"], found[0]["reason"])


def test_the_api_uploads_transcribes_and_refuses(tmp_path: pathlib.Path) -> None:
    """The requests of the README, and the ones that must not work."""
    with up(tmp_path) as service:
        body = (material.SAMPLES / "recordings" / "acme" / "voicemail.wav").read_bytes()
        first = service.http.put("/v1/recordings/acme/vm-1?language=en", content=body)
        again = service.http.put("/v1/recordings/acme/vm-1?language=en", content=body)
        assert (201, 200) == (first.status_code, again.status_code)
        assert first.json()["transcriptionId"] == again.json()["transcriptionId"]
        service.wait_for(done(1))

        asked = service.http.post(
            "/v1/recordings/vm-1/transcribe", json={"language": "en"}, headers={"Idempotency-Key": "k"}
        )
        twice = service.http.post(
            "/v1/recordings/vm-1/transcribe", json={"language": "en"}, headers={"Idempotency-Key": "k"}
        )
        assert (202, 202) == (asked.status_code, twice.status_code)
        assert asked.json()["transcriptionId"] == twice.json()["transcriptionId"] != first.json()["transcriptionId"]
        found = service.wait_for(done(2))
        assert [2, 1] == [one["generation"] for one in found]

        for response, status in (
            (service.http.post("/v1/recordings/vm-1/transcribe", content=b"{not json"), 400),
            (service.http.post("/v1/recordings/vm-1/transcribe", json={"language": "tlh"}), 422),
            (service.http.post("/v1/recordings/nobody/transcribe", json={}), 404),
            (service.http.put("/v1/recordings/acme/" + "x" * 1100, content=b"1"), 422),
            (service.http.put("/v1/recordings/acme/a%00b", content=b"1"), 422),
            (service.http.put("/v1/recordings/%2e%2e/x", content=b"1"), 422),
            (service.http.get("/v1/transcriptions/tr_nothing"), 404),
            (service.http.get("/v1/transcriptions", headers={"Host": "evil.example"}), 403),
            (service.http.put("/v1/recordings/acme/x", content=b"1", headers={"Origin": "https://evil.example"}), 403),
        ):
            assert status == response.status_code, response.text
            assert response.headers["content-type"].startswith("application/problem+json")
            assert "\n" not in response.json()["detail"]


def test_two_services_never_share_a_data_folder(tmp_path: pathlib.Path) -> None:
    """The second says so in one line and exits 3."""
    with up(tmp_path):
        second = subprocess.run(
            [*AFTERCALL, "up", "--data", str(tmp_path / "data"), "--model", str(material.MODEL), "--port", "0"],
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert second.returncode == 3
    assert "in use by another aftercall" in second.stderr


def test_switched_off_it_serves_and_takes_nothing(tmp_path: pathlib.Path) -> None:
    """TRANSCRIPTION_POST_ENABLED=false: the folder is left alone, and requests are told."""
    put(tmp_path, "acme/voicemail.wav", material.SAMPLES / "recordings" / "acme" / "voicemail.wav")
    with up(tmp_path, TRANSCRIPTION_POST_ENABLED="false") as service:
        assert service.http.put("/v1/recordings/acme/x", content=b"1").status_code == 503
        time.sleep(0.6)
        assert [] == service.listing()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_loses_nothing(tmp_path: pathlib.Path) -> None:
    """Uploads are told 507; open work waits; with room again everything comes out."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this machine mounts no tmpfs")
    try:
        with up(disk) as service:
            body = (material.SAMPLES / "recordings" / "acme" / "voicemail.wav").read_bytes()
            assert service.http.put("/v1/recordings/acme/before", content=body).status_code == 201
            service.wait_for(done(1))
            ballast = disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb") as file:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            with contextlib.suppress(OSError), (disk / "ballast2").open("wb") as file:
                while True:
                    file.write(bytes(512))
                    file.flush()

            full = service.http.put("/v1/recordings/acme/during", content=body)

            assert full.status_code == 507
            assert "disk is full" in full.json()["detail"]
            assert full.headers["retry-after"]
            ballast.unlink()
            (disk / "ballast2").unlink(missing_ok=True)
            assert service.http.put("/v1/recordings/acme/during", content=body).status_code == 201
            found = service.wait_for(done(2))
            assert {"completed"} == {one["status"] for one in found}
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
