"""Ten thousand ids that mean harm: no two share a key, and none leaves its tenant's place."""

from __future__ import annotations

import random
import re

from aftercall.contracts import identity

_PIECES = (
    *(
        "..",
        ".",
        "/",
        "\\",
        "%2e%2e",
        "%2F",
        "\0",
        "\n",
        " ",
        "a",
        "A",
        "é",
        "e\u0301",
        "ﬁ",
        "fi",
        "ß",
        "電",
        "=",
        "=2E",
        "=.",
    ),
    *(
        ".json",
        "deleted",
        "deleted.json",
        "1",
        "2",
        "1.json",
        "current",
        "acme",
        "acme/x",
        "~",
        "*",
        "?",
        "#",
        "&",
        "\u202e",
    ),
    *("\u200b", "\ufeff", "CON", "x" * 60, "電" * 40, "\ud800"),
)


def ids(rng: random.Random, n_ids: int) -> list[str]:
    """Return ids that are allowed, distinct after normalisation."""
    found: dict[str, None] = {}
    while len(found) < n_ids:
        raw = "".join(rng.choice(_PIECES) for _ in range(rng.randint(1, 6)))
        try:
            found[identity.parse_id(raw, what="id")] = None
        except identity.InvalidIdError:
            continue
    return list(found)


def test_ten_thousand_ids_share_no_key_and_escape_nowhere() -> None:
    """Under each of a few tenants: outcomes, transcripts, claims, checkpoints, quarantine, copies, calls."""
    rng = random.Random(11)
    every = ids(rng, 10_000)
    tenants = ["acme", "acme/x".replace("/", "="), *every[:3]]
    seen: dict[str, tuple[str, ...]] = {}
    folders: set[str] = set()
    for tenant in tenants:
        for id_ in every:
            recording = identity.Recording(tenant, id_)
            work = identity.Work(recording, id_, 1)
            keys = {
                recording.tombstone_key: "tombstone",
                recording.transcript_key("0" * 64): "transcript",
                work.outcome_key: "outcome",
                work.claim_key(1): "claim",
                work.checkpoints_prefix + "x.json": "checkpoint",
                work.quarantine_key("0" * 64): "quarantine",
                identity.current_copy_key(tenant, id_): "copy",
                identity.call_prefix(tenant, id_) + "x": "call",
            }
            for key, what in keys.items():
                assert re.fullmatch(r"[A-Za-z0-9._=/-]+", key), key
                assert key.split("/")[1] == identity.key_part(tenant), key
                assert not {"", ".", ".."} & set(key.split("/")), key
                assert len(key.encode()) <= 1024, key
                assert seen.setdefault(key, (tenant, id_, what)) == (tenant, id_, what), key
                folders |= {key[:at] for at, char in enumerate(key) if char == "/"}
    # On a disk, and on servers that keep objects as files, no key may also be another's folder.
    assert not folders & seen.keys()
    print(f"\n{len(every)} ids x {len(tenants)} tenants: {len(seen)} keys, 0 shared, 0 escapes")
