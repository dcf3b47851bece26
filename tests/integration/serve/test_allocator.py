"""What is freed is used again, without asking the kernel for it; shown in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, resource, sys
import numpy as np
from aftercall.serve import allocator

kept = sys.argv[1] == "keep" and allocator.keep_freed_memory()
np.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**24)  # 128 MB
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
json.dump({"kept": kept, "faults": faults, "peak_mb": peak_mb}, sys.stdout)
"""


def run(how: str) -> dict[str, int]:
    """Return what twenty blocks of 128 MB, one after another, cost."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], check=True, capture_output=True, text=True, timeout=60)
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_a_block_is_faulted_in_once() -> None:
    """Without it each of the twenty is; and no more memory is held."""
    plain, kept = run("plain"), run("keep")

    assert kept["kept"]
    assert kept["faults"] < plain["faults"] / 5
    assert kept["peak_mb"] < plain["peak_mb"] + 32


THREADED = """
import json, resource, sys, threading
import numpy as np
from aftercall.contracts import sections
from aftercall.serve import backends

done = threading.Event()

def idle():
    kept = [bytes(100) for _ in range(1000)]
    done.wait()

if sys.argv[1] == "first":
    backends.prepare(sections.Speech())
threads = [threading.Thread(target=idle, daemon=True) for _ in range(16)]
for thread in threads:
    thread.start()
backends.prepare(sections.Speech())  # as an engine does when it is loaded

def work():
    for _ in range(20):
        together = [np.ones(5 * 2**20), np.ones(5 * 2**20)]  # 42 MB each, in heaps of 67
        del together

before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
workers = [threading.Thread(target=work) for _ in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
done.set()
json.dump({"faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before}, sys.stdout)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_threads_that_begin_later_share_the_heap() -> None:
    """A service has many before its engine is loaded; their heaps would be given back after every layer."""
    found = {
        when: json.loads(
            subprocess.run(
                [sys.executable, "-c", THREADED, when], check=True, capture_output=True, text=True, timeout=60
            ).stdout
        )["faults"]
        for when in ("first", "late")
    }

    assert found["first"] < found["late"] / 5, found
