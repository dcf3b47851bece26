"""Kubernetes' control plane, built from its modules: API server, controllers, scheduler, and etcd beneath them."""

from __future__ import annotations

import pathlib

from peers import cache

VERSION = "v1.33.1"
"""What the servers say they are; charts ask for it by `kubeVersion`. The recipe's `go.mod` names the same."""

_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def build() -> pathlib.Path:
    """Return the folder that holds the programs.

    etcd is built beside them, as `server`, and not taken from Debian: it is then the version that this Kubernetes is
    made for (Debian's 3.4 is older than what the API server's caches ask of it), and nothing starts a daemon of it.
    """
    _, minor, _ = VERSION.split(".")
    said = {"gitVersion": VERSION, "gitMajor": "1", "gitMinor": minor, "gitTreeState": "clean"}
    link = " ".join(f"-X {package}.{name}={value}" for package in _STAMPED for name, value in said.items())
    packages = [f"k8s.io/kubernetes/cmd/{program}" for program in _PROGRAMS]
    return cache.build_go("kubernetes", *packages, "go.etcd.io/etcd/server/v3", link=link)
