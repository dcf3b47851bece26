"""Traffic: the same by the same seed, in order, and from a file of one's own."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.contracts import errors
from aftercall.operator.simulator import traces


@pytest.mark.parametrize("kind", traces.Kind)
def test_a_seed_makes_the_same_traffic_again(kind: traces.Kind) -> None:
    """In order of time, within its duration, of tenants that are known."""
    made, again, other = (
        traces.synthetic(kind, np.random.default_rng(seed), peak_per_s=50.0, hours=2.0) for seed in (5, 5, 6)
    )

    assert made == again
    assert made != other
    times = [call.at_s for call in made.calls]
    assert times == sorted(times)
    assert 0 <= times[0]
    assert times[-1] <= made.duration_s
    assert {call.tenant for call in made.calls} <= made.tenants.keys()
    assert all(5 <= call.audio_s <= 4 * 3600 for call in made.calls)


def test_a_file_of_calls_begins_at_its_first() -> None:
    """In any order, with more columns than are read, and with spaces."""
    made = traces.read_csv(["at_s, tenant,audio_s,agent", "1010,b,30,x", "1000, a ,60.5,y"], name="calls.csv")

    assert (traces.Call(0.0, "a", 60.5), traces.Call(10.0, "b", 30.0)) == made.calls
    assert {"a", "b"} == made.tenants.keys()
    assert 10.0 == made.duration_s


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["at_s,tenant"], "calls.csv: no column audio_s"),
        ([], "calls.csv: no column at_s, tenant, audio_s; its first line is ''"),
        (["at_s,tenant,audio_s"], "calls.csv: holds no calls"),
        (["at_s;tenant;audio_s", "1;a;2"], "its first line is 'at_s;tenant;audio_s'"),
        (["at_s,tenant,audio_s", "1,a,2", "x,a,2"], "calls.csv, line 3: at_s is seconds, not 'x'"),
        (["at_s,tenant,audio_s", "1,a"], "calls.csv, line 2: no audio_s"),
        (["at_s,tenant,audio_s", "1, ,5"], "calls.csv, line 2: no tenant"),
        (["at_s,tenant,audio_s", "1,a,5,9"], "calls.csv, line 2: more values than columns; decimals"),
        (["at_s,tenant,audio_s", "1,a,-5"], "calls.csv, line 2: at_s is a time, and audio_s over 0"),
        (["at_s,tenant,audio_s", "1,a,1e9"], "calls.csv, line 2: .*at most 604800; here they are 1 and 1e"),
        (
            ["at_s,tenant,audio_s", "1700000000000,a,5", "1700086400000,a,5"],
            "1000 days from the first call to the last",
        ),
        (["at_s,tenant,audio_s", "1,a,0"], "calls.csv, line 2: at_s is a time, and audio_s over 0"),
        (["at_s,tenant,audio_s", "nan,a,5"], "calls.csv, line 2: at_s is a time"),
        (["at_s,tenant,audio_s", "1,a,inf"], "calls.csv, line 2: at_s is a time"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_line(lines: list[str], said: str) -> None:
    """In one sentence."""
    with pytest.raises(errors.ConfigurationError, match=said):
        traces.read_csv(lines, name="calls.csv")
