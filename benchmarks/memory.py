"""Peak memory of the service and of its decode child on a stereo call of three hours."""

from __future__ import annotations

import argparse
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


def peak_mib(pid: int) -> float:
    """Return the highest resident size that a process has had."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return max((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), default=0.0)


def children(pid: int) -> list[int]:
    """Return a process's children."""
    try:
        return [int(each) for each in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


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
            idle = peak_mib(service.pid)
            call = longcall.build(root / "long.flac", CALLS, given.hours * 3600)
            size = call.stat().st_size / 2**20
            call.rename(root / "in" / "bench" / "long.flac")
            started, child = time.monotonic(), 0.0
            while True:
                child = max([child, *(peak_mib(each) for each in children(service.pid))])
                with urllib.request.urlopen(f"{address}/v1/transcriptions", timeout=30) as answer:
                    if b'"completed"' in (body := answer.read()) or b'"failed"' in body:
                        break
                time.sleep(0.2)
            took_s = time.monotonic() - started
            print(f"a stereo call of {given.hours:g} h ({size:.0f} MiB FLAC), test model: {took_s:.0f} s")
            print(f"peak resident memory: service {peak_mib(service.pid):.0f} MiB (idle {idle:.0f}), ", end="")
            print(f"decode child {child:.0f} MiB")
        finally:
            service.kill()
            service.wait()
            drain.wait()


if __name__ == "__main__":
    main()
