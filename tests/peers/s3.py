"""An S3 server with conditional writes and bucket notifications: versitygw over a folder."""

from __future__ import annotations

import os
import pathlib

from peers import cache, process

ACCESS_KEY = "test-access"
SECRET_KEY = "test-secret"
REGION = "us-east-1"


def build() -> pathlib.Path:
    """Return the folder that holds the server."""
    command = ["go", "build", "-o", "{out}/versitygw", "github.com/versity/versitygw/cmd/versitygw"]
    return cache.build("s3", command, needs=("go",))


class S3(process.Server):
    """A server whose buckets are folders; `kafka` names a broker and a topic for notifications."""

    def __init__(self, folder: pathlib.Path, *, kafka: tuple[str, str] | None = None) -> None:
        self.port = process.free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        buckets, facts = folder / "buckets", folder / "facts"
        buckets.mkdir(exist_ok=True)
        facts.mkdir(exist_ok=True)
        events = [] if kafka is None else ["--event-kafka-url", kafka[0], "--event-kafka-topic", kafka[1]]
        super().__init__(
            "s3",
            [
                *(str(build() / "versitygw"), "--port", f"127.0.0.1:{self.port}", "--quiet"),
                *(*events, "posix", "--sidecar", str(facts), str(buckets)),
            ],
            folder=folder,
            is_ready=lambda: process.answers(self.port),
            env={"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY, "PATH": os.environ["PATH"]},
        )
        self._buckets = buckets

    def folder_of(self, bucket: str) -> pathlib.Path:
        """Return the folder that is a bucket."""
        return self._buckets / bucket

    def create_bucket(self, name: str) -> None:
        """Create a bucket."""
        self.folder_of(name).mkdir()
