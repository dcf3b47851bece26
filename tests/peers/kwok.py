"""kwok in the place of kubelets: nodes that are ready, and pods on them that are ready at once and run nothing."""

from __future__ import annotations

import pathlib

from peers import apiserver, cache, kubeconfig, process

FAKE_NODE = {"kwok.x-k8s.io/node": "fake"}
"""The annotation of the nodes that kwok acts for."""


def build() -> pathlib.Path:
    """Return the folder that holds the program, and the stages of nodes and pods."""
    command = ["env", "CGO_ENABLED=0", "sh", "build.sh", "{out}"]
    return cache.build("kwok", command, needs=("go",), timeout_s=3600.0)


class Kwok(process.Server):
    """Acts for every node that has its annotation; while it is down, nodes' leases run out as a dead kubelet's do."""

    def __init__(self, folder: pathlib.Path, api: apiserver.ApiServer) -> None:
        built = build()
        port = process.free_port()
        identity = api.authority.issue("kwok", groups=["system:masters"])
        config = kubeconfig.write(folder / "kwok.kubeconfig", api.url, api.authority.certificate, certificate=identity)
        super().__init__(
            "kwok",
            [
                *(str(built / "kwok"), f"--kubeconfig={config}", f"--config={built / 'stages.yaml'}"),
                *("--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake"),
                *("--node-ip=10.0.0.1", "--cidr=10.0.0.0/16", "--node-lease-duration-seconds=40"),
                f"--server-address=127.0.0.1:{port}",
            ],
            folder=folder,
            is_ready=lambda: process.answers(port),
        )
