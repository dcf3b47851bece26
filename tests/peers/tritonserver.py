"""A real Triton server, without a GPU: binary, Python backend and stubs are those that pytriton's wheel carries."""

from __future__ import annotations

import os
import pathlib
import sys
import sysconfig
import urllib.request
from collections.abc import Sequence

from peers import cache, process

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def build() -> pathlib.Path:
    """Return the folder that holds the server, and below `site` what its models import."""
    return cache.build("tritonserver", ["sh", "build.sh", "{python}", "{out}", _VERSION], needs=())


def _lead(model: pathlib.Path, packages: Sequence[pathlib.Path]) -> None:
    """Lead a model to the packages: the stub's Python looks at no environment and no virtual one."""
    paths = [*(str(_ROOT / part) for part in ("contracts", "serve")), *map(str, packages)]
    docstring, rest = model.read_text(encoding="utf-8").split("from __future__ import annotations\n")
    lead = f"from __future__ import annotations\n\nimport sys\n\nsys.path[:0] = {paths!r}\n"
    model.write_text(docstring + lead + rest, encoding="utf-8")


class Triton(process.Server):
    """A server of the models below `repository`, in `folder`, which are of this checkout."""

    def __init__(
        self,
        folder: pathlib.Path,
        repository: pathlib.Path,
        *,
        packages: Sequence[pathlib.Path] = (),
        ready_s: float = 60.0,
    ) -> None:
        unpacked = build()
        self.http, self.grpc, self.metrics = (process.free_port() for _ in range(3))
        self.url = f"grpc://127.0.0.1:{self.grpc}"
        backend = folder / "backends" / "python"
        backend.mkdir(parents=True)
        carried = unpacked / "pytriton" / "tritonserver"
        stub = carried / "python_backend_stubs" / _VERSION / "triton_python_backend_stub"
        for file in (*(carried / "backends" / "python").iterdir(), stub):
            (backend / file.name).symlink_to(file)
        for model in repository.glob("*/1/model.py"):
            _lead(model, [unpacked / "site", *packages])
        server = carried / "bin" / "tritonserver"
        libraries = [str(unpacked / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
        super().__init__(
            "tritonserver",
            [
                str(server),
                f"--model-repository={repository}",
                f"--backend-directory={folder / 'backends'}",
                *("--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--metrics-address=127.0.0.1"),
                *(f"--http-port={self.http}", f"--grpc-port={self.grpc}", f"--metrics-port={self.metrics}"),
                "--disable-auto-complete-config",
                "--exit-timeout-secs=5",
            ],
            folder=folder,
            is_ready=self._is_ready_now,
            ready_s=ready_s,
            env={**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)},
        )

    def _is_ready_now(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/v2/health/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def counts(self, model: str = "speech") -> dict[str, float]:
        """Return a model's counters by their short names, such as `nv_inference_count`, summed over instances."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for line in text.splitlines():
            name, _, rest = line.partition("{")
            if f'model="{model}"' in rest:
                found[name] = found.get(name, 0.0) + float(rest.rpartition(" ")[2])
        return found
