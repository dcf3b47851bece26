"""What a pod answers to Kubernetes."""

from __future__ import annotations

import httpx2

from aftercall.api import probes


async def test_a_part_that_is_not_well_says_why() -> None:
    """To the kubelet, which begins it anew; one that can only be ready or not stays well."""
    why: str | None = None

    async def answers(**more: object) -> list[tuple[int, str]]:
        app = probes.build_probes(why_not_ready=lambda: why, exposition=lambda: b"", **more)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://pod") as client:
            return [
                (found.status_code, found.text) for found in [await client.get("/healthz"), await client.get("/readyz")]
            ]

    assert [(200, "ok\n"), (200, "ready\n")] == await answers(why_not_healthy=lambda: why)
    why = "the watch is dead"
    both = [(503, "not healthy: the watch is dead\n"), (503, "not ready: the watch is dead\n")]
    assert both == await answers(why_not_healthy=lambda: why)
    assert (200, "ok\n") == (await answers())[0]
