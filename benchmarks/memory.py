"""Peak memory of the service and of its decode child on a stereo call of three hours."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import longcall
import whispers

ROOT = pathlib.Path(__file__).resolve().parents[1]
CALLS = sorted((ROOT / "tests" / "fixtures" / "calls").glob("*.opus"))


def status_mib(pid: int, field: str) -> float:
    """Return a size that the kernel keeps of a process; 0 once it is gone."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), default=0.0)


def children(pid: int) -> list[int]:
    """Return a process's children."""
    try:
        return [int(each) for each in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """Peaks until a moment, in MiB."""

    name: str
    took_s: float
    peak: float
    own: float
    child: float


def sizes(pid: int) -> tuple[float, float]:
    """Return the highest resident size so far, and the anonymous memory now."""
    return status_mib(pid, "VmHWM"), status_mib(pid, "RssAnon")


def run(address: str, pid: int, call: pathlib.Path, into: pathlib.Path, name: str) -> Row:
    """Give the service a call, and watch it until the transcript is there."""
    call.rename(into)
    started, own, child = time.monotonic(), 0.0, 0.0
    while True:
        own = max(own, status_mib(pid, "RssAnon"))
        child = max([child, *(status_mib(each, "VmHWM") for each in children(pid))])
        with urllib.request.urlopen(f"{address}/v1/transcriptions?call_id={into.stem}", timeout=30) as answer:
            if b'"completed"' in (body := answer.read()) or b'"failed"' in body:
                break
        time.sleep(0.2)
    took_s = time.monotonic() - started
    time.sleep(3)  # the rows go to ClickHouse a moment later
    own = max(own, status_mib(pid, "RssAnon"))
    return Row(name, took_s, status_mib(pid, "VmHWM"), own, child)


def main() -> None:
    """Run the service on a long call and print what it used."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--hours", type=float, default=3.0)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="aftercall-bench-") as folder:
        root = pathlib.Path(folder)
        (root / "in" / "bench").mkdir(parents=True)
        environment = {
            **os.environ,
            "AFTERCALL_SPEECH__MODEL": str(whispers.TINY_FIXTURE),
            "AFTERCALL_SPEECH__TEMPERATURES": "[0.0]",
            "AFTERCALL_INTAKE__SETTLE_S": "0",
        }
        service = subprocess.Popen(
            [
                *(sys.executable, "-m", "aftercall.cli", "up", "--recordings", str(root / "in")),
                *("--data", str(root / "data"), "--port", "0"),
            ],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert service.stderr is not None
            address = next(line.split()[3] for line in service.stderr if line.startswith("aftercall is ready"))
            drain = subprocess.Popen(["cat"], stdin=service.stderr, stdout=subprocess.DEVNULL)
            minute = longcall.build(root / "minute.flac", CALLS[:1], 60)
            table = [Row("idle, model loaded", 0.0, *sizes(service.pid), 0.0)]
            table.append(
                run(address, service.pid, minute, root / "in" / "bench" / "minute.flac", "after a call of 1 min")
            )
            long = longcall.build(root / "long.flac", CALLS, given.hours * 3600)
            size = long.stat().st_size / 2**20
            after = f"after a call of {given.hours:g} h"
            table.append(run(address, service.pid, long, root / "in" / "bench" / "long.flac", after))
            print(f"stereo calls, test model; {given.hours:g} h are {size:.0f} MiB of FLAC; peak resident MiB")
            print(f"{'':<24} {'seconds':>8} {'service':>8} {'its own':>8} {'decode child':>13}")
            for row in table:
                print(f"{row.name:<24} {row.took_s:>8.0f} {row.peak:>8.0f} {row.own:>8.0f} {row.child:>13.0f}")
            print("its own: without mapped files, which are the code of libraries (ClickHouse alone: 200)")
        finally:
            service.kill()
            service.wait()
            drain.wait()


if __name__ == "__main__":
    main()
