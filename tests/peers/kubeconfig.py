"""How a client is told where the API server is, whom to trust, and who it is: a kubeconfig file."""

from __future__ import annotations

import json
import pathlib


def write(
    path: pathlib.Path,
    url: str,
    authority: pathlib.Path,
    *,
    certificate: tuple[pathlib.Path, pathlib.Path] | None = None,
    token: str = "",
    namespace: str = "default",
) -> pathlib.Path:
    """Write the file of a client that has a certificate and its key, or a token; JSON is YAML, too."""
    user = {"token": token} if token else {}
    if certificate is not None:
        user |= {"client-certificate": str(certificate[0]), "client-key": str(certificate[1])}
    context = {"cluster": "test", "user": "test", "namespace": namespace}
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {"server": url, "certificate-authority": str(authority)}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    path.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return path
