"""Keep the memory that an engine frees for its next batch.

glibc gives large blocks back to the kernel as soon as they are freed, and every batch then faults hundreds of megabytes
in again, page by page: of 3.6 s for a batch of eight windows of 10 s (tiny, one thread) 1.0 s went there, of 8.1 s for
two such batches at once (base, two workers) 2.3 s. What is kept is no more than the process held at its peak, and what
lies free at the end of the heap beyond a gibibyte still goes back.
"""

from __future__ import annotations

import ctypes

# From malloc.h; each is an int.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_KEPT_BYTES = 2**30

ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(_KEPT_BYTES), "MALLOC_ARENA_MAX": "1"}
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
    wanted = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_ARENA_MAX, 1))
    return all(mallopt(name, value) == 1 for name, value in wanted)
