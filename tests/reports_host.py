"""The operator's side of reports, alone: a process for tests that ask for its grants, and that end it.

The exchange and the endpoint are the operator's own. Made up are who has the Lease, which is always this process, and
tokens: a consumer's is its name.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time

from aftercall.api import reporting, server
from aftercall.consumers import observer
from aftercall.contracts import reports
from aftercall.operator import exchange, grants


async def main() -> None:
    """Answer reports until SIGTERM; `HOST_LIMITS` holds limits by tenant, `HOST_EPOCH` is higher after each start."""
    gc.set_threshold(*reporting.GARBAGE)
    limits = {tenant: grants.Limit(*limit) for tenant, limit in json.loads(os.environ["HOST_LIMITS"]).items()}
    found = exchange.Exchange(lease_s=float(os.environ["HOST_LEASE_S"]), stale_s=float(os.environ["HOST_STALE_S"]))
    began_at_s = time.monotonic() - float(os.environ["HOST_BEGAN_AGO_S"])
    found.begin(int(os.environ["HOST_EPOCH"]), now_s=began_at_s)

    async def hear(report: reports.ConsumerReport) -> reports.Grants:
        now_s = time.monotonic()
        return found.hear(report, limits, now_s=now_s, held_at_s=now_s)

    async def authenticate(token: str) -> reporting.Caller | None:
        return reporting.Caller("consumers", token)

    app = reporting.build_reporting(hear, authenticate, observer.PrometheusObserver(), accounts={"consumers"})
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    listening = server.listen("127.0.0.1", int(os.environ["HOST_PORT"]))
    sys.stderr.write(f"the operator's side is ready on {listening.getsockname()[1]}\n")
    await server.serve(app, listening, stopping)


if __name__ == "__main__":
    asyncio.run(main())
