"""Helm 3 and Helm 4: what installs charts."""

from __future__ import annotations

import os
import pathlib
import subprocess

from peers import cache

_KUBERNETES = "1.37"
"""The version that both are made for: what `helm template` takes a cluster for, unless told by `--kube-version`."""

_VERSIONS = {3: "v3.22.0", 4: "v4.3.1"}


class HelmError(Exception):
    """Helm ended with a failure; the message is what it said."""


def build(major: int) -> pathlib.Path:
    """Return the folder that holds the program of a major version."""
    module = f"helm.sh/helm/v{major}"
    said = {"internal/version.version": _VERSIONS[major]}
    if major == 3:  # the next one finds out by itself
        _, minor = _KUBERNETES.split(".")
        said |= {"pkg/chartutil.k8sVersionMinor": minor, "pkg/lint/rules.k8sVersionMinor": minor}
    link = " ".join(f"-X {module}/{name}={value}" for name, value in said.items())
    return cache.build_go(f"helm{major}", f"{module}/cmd/helm", link=link)


class Helm:
    """Runs Helm on a cluster, or on charts alone; what it keeps is kept in `folder`, not in the user's home."""

    def __init__(self, folder: pathlib.Path, *, kubeconfig: pathlib.Path | None = None, major: int = 3) -> None:
        self._program = build(major) / "helm"
        home = folder / f"helm{major}"
        home.mkdir(parents=True, exist_ok=True)
        kept = {f"HELM_{name}_HOME": str(home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        # Without a cluster it must not find the user's own. What it learns of one it keeps below HOME.
        found = {"KUBECONFIG": str(kubeconfig or home / "none"), "HOME": str(home), "PATH": os.environ["PATH"]}
        self._env = {**found, **kept}

    def run(self, *args: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command; raise `HelmError` with what it said when it fails."""
        done = subprocess.run(
            [str(self._program), *args], env=self._env, capture_output=True, text=True, timeout=timeout_s, check=False
        )
        if done.returncode != 0:
            raise HelmError(f"helm {args[0]} failed: {(done.stderr or done.stdout).strip()}")
        return done
