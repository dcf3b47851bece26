"""The servers for trials as the chart configures them: the same programs, outside containers."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing

import pytest
from peers import broker, process, s3

from . import conftest

DEV = conftest.SAMPLES[0]
SECRETS = {"ROOT_ACCESS_KEY": "aftercall", "ROOT_SECRET_KEY": "aftercall-dev"}


class Broker(process.Server):
    """The broker of the chart: its properties, moved to loopback and a folder; formatted under its cluster id."""

    def __init__(self, folder: pathlib.Path, properties: str, cluster_id: str) -> None:
        self.address = f"127.0.0.1:{(port := process.free_port())}"
        moved = properties.replace("PLAINTEXT://:9092", f"PLAINTEXT://{self.address}")
        moved = moved.replace("calls-aftercall-dev-kafka:9092", self.address)
        moved = moved.replace("127.0.0.1:9093", f"127.0.0.1:{process.free_port()}").replace("/data/", f"{folder}/")
        file = folder / "server.properties"
        file.write_text(moved)
        java = ["java", "-Xmx512m", "-Xms256m", "-XX:+UseSerialGC", "-cp", f"{broker.build()}/*"]
        format_ = [*java, "kafka.tools.StorageTool", "format", "--ignore-formatted", "--cluster-id", cluster_id]
        subprocess.run([*format_, "--config", str(file)], check=True, capture_output=True, timeout=60)
        super().__init__(
            "broker", [*java, "kafka.Kafka", str(file)], folder=folder, is_ready=lambda: process.answers(port)
        )


class S3(process.Server):
    """The S3 server of the chart: its arguments, moved to loopback and a folder."""

    def __init__(self, folder: pathlib.Path, args: list[str]) -> None:
        port = process.free_port()
        self.endpoint = f"http://127.0.0.1:{port}"
        moved = [one.replace(":7070", f"127.0.0.1:{port}").replace("/data/", f"{folder}/") for one in args]
        for one in ("buckets", "facts"):
            (folder / one).mkdir()
        super().__init__(
            "s3",
            [str(s3.build() / "versitygw"), *moved],
            folder=folder,
            is_ready=lambda: process.answers(port),
            env={**SECRETS, "PATH": os.environ["PATH"]},
        )


def container(objects: list[dict[str, typing.Any]], name: str) -> dict[str, typing.Any]:
    """Return the container of a Deployment."""
    spec = conftest.every("Deployment")(objects)[name]["spec"]["template"]["spec"]
    return typing.cast(dict[str, typing.Any], spec["containers"][0])


@pytest.mark.timeout(150)
def test_the_setup_makes_topics_and_buckets(render: conftest.Render, tmp_path: pathlib.Path) -> None:
    """With the commands and the settings of its Job, on servers that run as their pods would; it may run again."""
    objects = render(DEV)
    maps = conftest.every("ConfigMap")(objects)
    properties = maps["calls-aftercall-dev-kafka"]["data"]["server.properties"]
    command = container(objects, "calls-aftercall-dev-kafka")["args"][0].split()
    told = maps["calls-aftercall-main-setup"]["data"]["settings.yaml"]
    (job,) = [one for name, one in conftest.every("Job")(objects).items() if "-setup-" in name]
    spec = job["spec"]["template"]["spec"]
    steps = [one["args"] for one in (*spec["initContainers"], *spec["containers"])]
    for name in ("kafka", "s3"):
        (tmp_path / name).mkdir()
    cluster_id = command[command.index("--cluster-id") + 1]
    for kafka in process.running(lambda: Broker(tmp_path / "kafka", properties, cluster_id)):
        for store in process.running(lambda: S3(tmp_path / "s3", container(objects, "calls-aftercall-dev-s3")["args"])):
            moved = told.replace("calls-aftercall-dev-kafka:9092", kafka.address)
            moved = moved.replace("http://calls-aftercall-dev-s3:7070", store.endpoint)
            (tmp_path / "secret-access-key").write_text(SECRETS["ROOT_SECRET_KEY"])
            moved = moved.replace("/var/run/secrets/aftercall/s3", str(tmp_path))
            (tmp_path / "settings.yaml").write_text(moved)
            env = {
                **os.environ,
                "AFTERCALL_SETTINGS_FILE": str(tmp_path / "settings.yaml"),
                "AFTERCALL_STORE__ACCESS_KEY_ID": SECRETS["ROOT_ACCESS_KEY"],
            }

            def run(*args: str, env: dict[str, str] = env) -> subprocess.CompletedProcess[str]:
                whole = [sys.executable, "-m", "aftercall.cli", *args]
                return subprocess.run(whole, env=env, capture_output=True, text=True, timeout=60, check=False)

            for args in [*steps, *steps]:
                done = run(*args)
                assert 0 == done.returncode, f"{args}: {done.stderr}"
            topics = json.loads(run("topics", "--json").stdout)
            assert {4} == {one["partitions"] for one in topics}
            assert {"recordings.ready", "recordings.deferred", "transcripts.ready"} <= {one["name"] for one in topics}
            buckets = json.loads(run("buckets", "--json").stdout)
            assert {"aftercall": "there", "recordings": "there"} == buckets
