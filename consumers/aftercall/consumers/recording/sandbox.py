"""Take away from this process what decoding does not need, for good.

Limits (setrlimit), no new privileges, not readable by others, and a seccomp filter that refuses to open files or
sockets, to start programs and to look into other processes. Linux on x86-64 and arm64; elsewhere only the limits hold.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import struct
import sys

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_DENIED = {
    "x86_64": (
        2,  # open
        257,  # openat
        437,  # openat2
        85,  # creat
        41,  # socket
        53,  # socketpair
        42,  # connect
        49,  # bind
        59,  # execve
        322,  # execveat
        56,  # clone
        435,  # clone3
        57,  # fork
        58,  # vfork
        101,  # ptrace
        310,  # process_vm_readv
        311,  # process_vm_writev
        62,  # kill
        200,  # tkill
        321,  # bpf
        425,  # io_uring_setup
        272,  # unshare
        308,  # setns
        165,  # mount
        438,  # pidfd_getfd
        304,  # open_by_handle_at
    ),
    "aarch64": (
        56,
        437,
        198,
        199,
        203,
        200,
        221,
        281,
        117,
        270,
        271,
        129,
        130,
        280,
        425,
        97,
        268,
        40,
        438,
        265,
        220,
        435,
    ),
}


def set_limits(*, memory_bytes: int, cpu_s: float) -> None:
    """Limit memory, CPU time, files and processes of this process."""
    whole_s = max(1, int(cpu_s + 0.999))
    limits = {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        # SIGXCPU first, SIGKILL a second later.
        resource.RLIMIT_CPU: (whole_s, whole_s + 1),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    for which, limit in limits.items():
        resource.setrlimit(which, limit)


def seal() -> bool:
    """Refuse files, sockets, programs and other processes from now on; say whether the kernel agreed."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    code = _filter(_ARCHITECTURES[machine], _DENIED[machine])
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0) == 0)


def _filter(architecture: int, denied: tuple[int, ...]) -> bytes:
    """Assemble classic BPF over `struct seccomp_data {int nr; u32 arch; …}` (seccomp(2))."""
    load, jump_equal, jump_ge, answer = 0x20, 0x15, 0x35, 0x06
    refuse = _ERRNO | errno.EPERM
    lines = [(load, 0, 0, 4), (jump_equal, 1, 0, architecture), (answer, 0, 0, refuse), (load, 0, 0, 0)]
    # Numbers from 2^30 up are the x32 forms of the same calls on x86-64: none of them is needed.
    lines += [(jump_ge, 0, 1, 0x40000000), (answer, 0, 0, refuse)]
    for at, number in enumerate(denied):
        lines.append((jump_equal, len(denied) - at, 0, number))
    lines += [(answer, 0, 0, _ALLOW), (answer, 0, 0, refuse)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
