"""What a report tells of tenants, and what it is answered."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.contracts import reports
from aftercall.operator import elsewhere, grants, told


def test_lanes_of_a_tenant_add_up_and_others_keep_their_places() -> None:
    """What is held is one for both; a tenant that is not told of has no wish, which is another thing than none."""
    loads = [
        reports.TenantLoad(tenant="b", waiting_audio_s=10.0, begun_audio_s=1.0, held_per_s=4.0),
        reports.TenantLoad(tenant="b", lane="bulk", waiting_audio_s=20.0, begun_audio_s=2.0, held_per_s=4.0),
    ]
    places = {"a": 0}

    found = told.read(loads, places)

    assert {"a": 0, "b": 1} == places
    assert [0.0, 30.0] == found.waiting_audio_s.tolist()
    assert [0.0, 4.0] == found.held_per_s.tolist()
    assert [[0.0, 1.0], [0.0, 2.0]] == found.begun_audio_s[:2].tolist()
    assert [True, False] == np.isnan(found.wanted_per_s(np.zeros(2))).tolist()


def test_an_answer_tells_of_limits_and_of_what_others_gave() -> None:
    """A tenant without a limit of which others gave nothing is left out."""
    loads = [reports.TenantLoad(tenant=name) for name in ("limited", "served", "quiet")]
    found = told.read(loads, {})
    made = grants.Answer(1, 60.0, np.array([2.0, 0.0, 0.0]), np.array([30.0, 0.0, 0.0]))
    others = np.zeros((elsewhere.LANES, 3))
    others[1, 1] = 7.0

    answered = told.answers(found, made, others, frozenset({"limited"}))

    assert (
        reports.Grant(tenant="limited", per_s=2.0, burst_audio_s=30.0),
        reports.Grant(tenant="served", elsewhere_audio_s=(0.0, 7.0)),
    ) == answered


@pytest.mark.parametrize(
    ("is_throttled", "waiting", "running", "per_s", "wanted"),
    [
        (True, 600.0, 0.0, 8.0, 20.0),  # what it uses, and what waits within a minute
        (False, 600.0, 0.0, 8.0, 10.0),  # it has no need of more: something else holds it back
        (False, 0.0, 300.0, 8.0, 10.0),  # it keeps up
        (False, 0.0, 0.0, 8.0, 0.0),  # its work has gone to others
        (False, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_what_a_consumer_could_use(
    is_throttled: bool, waiting: float, running: float, per_s: float, wanted: float
) -> None:
    """Grants lie idle with one that has much work and no room for it."""
    load = reports.TenantLoad(tenant="t", waiting_audio_s=waiting, running_audio_s=running, is_throttled=is_throttled)

    found = told.read([load], {}).wanted_per_s(np.array([per_s]))

    assert [wanted] == found.tolist()
