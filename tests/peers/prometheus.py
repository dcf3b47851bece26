"""Prometheus, as Debian packages it: scrapes what a test serves, computes rules, and is asked."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from peers import cache, process


class PromtoolError(Exception):
    """promtool refused what it was given; the message is what it said."""


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Somewhere to scrape, `host:port`, with the labels that service discovery would give it."""

    address: str
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)


def program(name: str) -> str:
    """Return where `prometheus` or `promtool` is."""
    found = shutil.which(name)
    if found is None:
        raise cache.BuildError(f"there is no {name}: run scripts/debian-packages.sh")
    return found


def promtool(*args: str, folder: pathlib.Path | None = None) -> str:
    """Run promtool in a folder, `check rules FILE` or `test rules FILE`; return what it said."""
    done = subprocess.run(
        [program("promtool"), *args], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode != 0:
        raise PromtoolError(f"promtool {' '.join(args[:2])} failed: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


class Prometheus(process.Server):
    """A server that scrapes every second, by job, and keeps exemplars; `rules` are files, of globs too."""

    def __init__(
        self,
        folder: pathlib.Path,
        jobs: Mapping[str, Sequence[Target]],
        *,
        rules: Sequence[pathlib.Path] = (),
        interval_s: int = 1,
    ) -> None:
        port = process.free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._rules = rules
        self._interval = f"{interval_s}s"
        self._config = folder / "prometheus.yml"
        self._write(jobs)
        super().__init__(
            "prometheus",
            [
                *(program("prometheus"), f"--config.file={self._config}", f"--web.listen-address=127.0.0.1:{port}"),
                *(f"--storage.tsdb.path={folder / 'prometheus'}", "--enable-feature=exemplar-storage"),
                *("--web.enable-lifecycle", "--storage.tsdb.retention.time=1d", "--log.level=warn"),
            ],
            folder=folder,
            is_ready=self._is_ready,
        )

    def _write(self, jobs: Mapping[str, Sequence[Target]]) -> None:
        scraped = [
            {
                "job_name": job,
                "static_configs": [{"targets": [each.address], "labels": dict(each.labels)} for each in targets],
            }
            for job, targets in jobs.items()
        ]
        told = {
            "global": {
                "scrape_interval": self._interval,
                "scrape_timeout": self._interval,
                "evaluation_interval": self._interval,
            },
            "rule_files": [str(path) for path in self._rules],
            "scrape_configs": scraped,
        }
        self._config.write_text(json.dumps(told), encoding="utf-8")

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/-/ready", timeout=1, trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    def scrape(self, jobs: Mapping[str, Sequence[Target]]) -> None:
        """Scrape these from now on, instead."""
        self._write(jobs)
        httpx2.post(f"{self.url}/-/reload", timeout=10, trust_env=False).raise_for_status()

    def ask(self, path: str, **params: str) -> Any:
        """Return the data of an answer of its API, `rules`, `alerts`, `targets`, `label/job/values`."""
        answer = httpx2.get(f"{self.url}/api/v1/{path}", params=params, timeout=10, trust_env=False).json()
        if answer["status"] != "success":
            raise ValueError(f"{path} {params}: {answer['error']}")
        return answer["data"]

    def query(self, expression: str) -> dict[frozenset[tuple[str, str]], float]:
        """Return the value of an expression now, by its labels."""
        found = self.ask("query", query=expression)["result"]
        return {frozenset(each["metric"].items()): float(each["value"][1]) for each in found}

    def value(self, expression: str) -> float | None:
        """Return the value of an expression that has one, or none."""
        found = list(self.query(expression).values())
        assert len(found) <= 1, f"{expression} has {len(found)} values"
        return found[0] if found else None

    def exemplars(self, expression: str) -> list[dict[str, str]]:
        """Return the labels of the exemplars of the last minutes."""
        now_s = time.time()
        found = self.ask("query_exemplars", query=expression, start=f"{now_s - 600}", end=f"{now_s + 1}")
        return [dict(one["labels"]) for each in found for one in each["exemplars"]]

    def alerts(self) -> dict[str, str]:
        """Return the state of every alert that is pending or firing, by its name."""
        return {each["labels"]["alertname"]: each["state"] for each in self.ask("alerts")["alerts"]}
