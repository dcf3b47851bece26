"""Keep the memory that an engine frees for its next batch.

glibc gives large blocks back to the kernel as soon as they are freed, and every batch then faults hundreds of megabytes
in again, page by page: of 3.6 s for a batch of eight windows of 10 s (tiny, one thread) 1.0 s went there, of 8.1 s for
two such batches at once (base, two workers) 2.3 s. What is kept is no more than the process held at its peak, and what
lies free at the end of the heap beyond a gibibyte still goes back.
"""

from __future__ import annotations

import ctypes

_KEPT_BYTES = 2**30
_WANTED = (("MALLOC_MMAP_MAX_", -4, 0), ("MALLOC_TRIM_THRESHOLD_", -1, _KEPT_BYTES), ("MALLOC_ARENA_MAX", -8, 1))
"""Name in the environment, number in malloc.h, and value, an int."""

ENVIRONMENT = {name: str(value) for name, _, value in _WANTED}
"""The same for a process that somebody else starts, and whose threads begin before any of ours."""


def keep_freed_memory() -> bool:
    """Let this process's allocator keep what is freed; say whether it could, which is where the C library is glibc.

    Blocks of all sizes come from one heap: those of their own mapping are unmapped when freed, and heaps of threads
    other than the first cannot hold a block of over 64 MB and are given back when they are empty. A thread that has
    begun may have a heap already, which others then share: call it while there is one thread (base, two workers, 16
    threads before it: 22.7 times real time, not 28.2, and 3.4 million page faults).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(number, value) == 1 for _, number, value in _WANTED)
