"""kube-score: what an experienced eye finds wanting in manifests."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
from collections.abc import Sequence

from peers import cache


@dataclasses.dataclass(frozen=True, slots=True)
class Complaint:
    """One check that an object does not pass."""

    subject: str
    check: str
    message: str


def build() -> pathlib.Path:
    """Return the folder that holds the program.

    It stands here for kube-linter, whose module is served by a host of its own that not every network reaches.
    """
    return cache.build_go("kubescore", "github.com/zegl/kube-score/cmd/kube-score")


def score(manifests: str, *, ignore: Sequence[str] = (), optional: Sequence[str] = ()) -> list[Complaint]:
    """Return what is critical, of all checks but the ignored, and of these optional ones."""
    flags = [f"--ignore-test={name}" for name in ignore] + [f"--enable-optional-test={name}" for name in optional]
    done = subprocess.run(
        [str(build() / "kube-score"), "score", "--output-format=json", *flags, "-"],
        input=manifests,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [
        Complaint(
            subject=f"{each['type_meta']['kind']} {each['object_meta']['name']}",
            check=check["check"]["id"],
            message="; ".join(comment["summary"] for comment in check["comments"] or ()),
        )
        for each in json.loads(done.stdout)
        for check in each["checks"]
        if check["grade"] == 1 and not check["skipped"]
    ]
