"""Find a Whisper in CTranslate2 form: by a name that faster-whisper knows, by a hub id, or by a path."""

from __future__ import annotations

import hashlib
import pathlib

from aftercall.contracts import errors

DEFAULT_ON_CPU = "base"
DEFAULT_ON_GPU = "large-v3-turbo"
_WHAT_A_MODEL_HOLDS = ("model.bin", "config.json")


def locate(name: str) -> pathlib.Path:
    """Return the folder of a model, downloading a known name once.

    Raises `errors.ConfigurationError` in one line that says how to pass a local path.
    """
    given = pathlib.Path(name).expanduser()
    if given.exists():
        return _checked(given)
    if name.startswith((".", "/", "~")):
        raise errors.ConfigurationError(f"no model at {name}: give the folder of a CTranslate2 Whisper")
    import huggingface_hub.errors
    from faster_whisper import utils

    try:
        return pathlib.Path(utils.download_model(name))
    except ValueError as exc:
        known = ", ".join(utils.available_models())
        raise errors.ConfigurationError(
            f"model {name!r} is neither a path nor a known name; give --model /path/to/a/model, or one of {known}"
        ) from exc
    except (OSError, huggingface_hub.errors.HfHubHTTPError, RuntimeError) as exc:
        raise errors.ConfigurationError(
            f"model {name!r} cannot be downloaded here ({type(exc).__name__}); "
            "download it elsewhere and give its folder: --model /path/to/faster-whisper-model"
        ) from exc


def revision(folder: pathlib.Path) -> str:
    """Return a fingerprint of a model folder: its snapshot's name on the hub, or a digest of what it holds.

    Weights are named by their size and a digest of their first and last mebibyte: reading 3 GB at every start would
    cost seconds, and a retrained model differs everywhere.
    """
    if folder.parent.name == "snapshots":
        return folder.name
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    weights = folder / "model.bin"
    size = weights.stat().st_size
    digest.update(str(size).encode())
    with weights.open("rb") as file:
        digest.update(file.read(2**20))
        file.seek(max(0, size - 2**20))
        digest.update(file.read(2**20))
    return "sha256:" + digest.hexdigest()[:16]


def digest(*files: pathlib.Path) -> str:
    """Return a fingerprint of small files."""
    found = hashlib.sha256()
    for file in files:
        found.update(file.read_bytes())
    return "sha256:" + found.hexdigest()[:16]


def _checked(folder: pathlib.Path) -> pathlib.Path:
    missing = [name for name in _WHAT_A_MODEL_HOLDS if not (folder / name).is_file()]
    if missing:
        raise errors.ConfigurationError(
            f"{folder} is no CTranslate2 Whisper: it lacks {' and '.join(missing)} "
            "(convert one with ct2-transformers-converter)"
        )
    return folder
