"""What acts on what the API server holds: the controllers (Deployments, garbage, tokens, HPA) and the scheduler."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

import httpx2
from peers import apiserver, kubeconfig, kubernetes, process


class Controllers(process.Server):
    """A kube-controller-manager; `args` come last and win, as `--horizontal-pod-autoscaler-sync-period=1s` does."""

    def __init__(self, folder: pathlib.Path, api: apiserver.ApiServer, *, args: Sequence[str] = ()) -> None:
        port = process.free_port()
        super().__init__(
            "kube-controller-manager",
            [
                str(kubernetes.build() / "kube-controller-manager"),
                f"--kubeconfig={_kubeconfig(folder, api, 'kube-controller-manager')}",
                *("--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={port}"),
                *(f"--cert-dir={folder / 'controllers'}", f"--root-ca-file={api.authority.certificate}"),
                # Each controller under its own name, whose rights are those that clusters give it.
                *("--use-service-account-credentials", f"--service-account-private-key-file={api.token_key}"),
                *("--kube-api-qps=200", "--kube-api-burst=400"),
                *args,
            ],
            folder=folder,
            is_ready=_is_healthy(port),
        )


class Scheduler(process.Server):
    """A kube-scheduler: places pods on nodes that have what they ask for."""

    def __init__(self, folder: pathlib.Path, api: apiserver.ApiServer) -> None:
        port = process.free_port()
        super().__init__(
            "kube-scheduler",
            [
                str(kubernetes.build() / "kube-scheduler"),
                f"--kubeconfig={_kubeconfig(folder, api, 'kube-scheduler')}",
                *("--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={port}"),
                *("--kube-api-qps=200", "--kube-api-burst=400"),
            ],
            folder=folder,
            is_ready=_is_healthy(port),
        )


def _kubeconfig(folder: pathlib.Path, api: apiserver.ApiServer, name: str) -> pathlib.Path:
    """Return the file by which one of Kubernetes' own parts comes, under its own name."""
    identity = api.authority.issue(f"system:{name}")
    return kubeconfig.write(folder / f"{name}.kubeconfig", api.url, api.authority.certificate, certificate=identity)


def _is_healthy(port: int) -> Callable[[], bool]:
    def ask() -> bool:
        try:
            # Its certificate is one that it made for itself as it started.
            return httpx2.get(f"https://127.0.0.1:{port}/healthz", verify=False, trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    return ask
