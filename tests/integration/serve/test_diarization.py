"""Who speaks on a recording of one channel: pyannote's true classes, in this code's process, on Triton and on Ray.

The segmentation model has learnt from such calls; the embedding is random, and of a fixed seed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import material
import numpy as np
import pytest
from peers import diarization as packages
from peers import process, rayserve, tritonserver

from aftercall.contracts import diarization, errors, sections
from aftercall.serve import backends, packing, triton_repository, turns
from aftercall.serve.clients import replicas, triton

MAKE = material.ROOT / "tests" / "fixtures" / "diarization-tiny" / "make.py"
CALL = material.CALLS / "call-2.opus"
WITH_PACKAGES = "import sys; sys.path.append({!r}); from aftercall.cli import main; main.main()"


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The tiny pipeline, as pyannote loads it."""
    folder = tmp_path_factory.mktemp("pipeline")
    environment = {**os.environ, "PYTHONPATH": str(packages.build())}
    subprocess.run([sys.executable, str(MAKE), "write", str(folder)], env=environment, check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def mono() -> np.ndarray:  # type: ignore[type-arg]
    """Both sides of a call in one channel."""
    return (material.load(CALL).astype(np.int32).sum(axis=0) // 2).astype(np.int16)


@pytest.fixture(scope="module")
def on_triton(tmp_path_factory: pytest.TempPathFactory, pipeline: pathlib.Path) -> Iterator[str]:
    """A server of the rendered repository."""

    def build() -> tritonserver.Triton:
        folder = tmp_path_factory.mktemp("triton")
        triton_repository.write(triton_repository.Diarization(str(pipeline), batch_size=8), folder / "repository")
        return tritonserver.Triton(folder, folder / "repository", packages=[packages.build()], ready_s=120)

    for server in process.running(build):
        yield server.url


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory: pytest.TempPathFactory, pipeline: pathlib.Path) -> Iterator[str]:
    """A Ray that serves speech and diarization."""
    told = {"AFTERCALL_DIARIZATION__PIPELINE": str(pipeline), "AFTERCALL_DIARIZATION__CPUS": "0.5"}

    def build() -> rayserve.Ray:
        folder = tmp_path_factory.mktemp("ray")
        extra = {"EXTRA_PACKAGES": str(packages.build()), "AFTERCALL_SERVING__CPUS": "0.5"}
        return rayserve.Ray(folder, model=material.MODEL, replicas=1, **told, **extra)

    for server in process.running(build):
        yield server.url


@pytest.fixture(params=["triton", "ray"])
async def diarizer(request: pytest.FixtureRequest) -> AsyncIterator[diarization.Diarizer]:
    """A started client, chosen by the settings alone."""
    url = request.getfixturevalue(f"on_{request.param}")
    found = backends.build_diarizer(sections.Diarization.model_validate({"url": url}))
    assert found is not None
    await found.start()
    yield found
    await found.close()


def spoken_to_both(found: tuple[diarization.Turn, ...]) -> float:
    """Return the share of the reference's seconds that were given to the right one of two, names apart."""
    grid = np.full((2, 8000), -1)
    for turn in material.reference(CALL)["turns"]:
        grid[0, int(turn["start_s"] * 100) : int(turn["end_s"] * 100)] = turn["channel"]
    for turn in found:
        grid[1, int(turn.start_s * 100) : int(turn.end_s * 100)] = turn.speaker
    spoken = grid[0] >= 0
    return max(float((grid[1] == swapped)[spoken].mean()) for swapped in (grid[0], 1 - grid[0]))


@pytest.mark.timeout(300)
async def test_turns_are_told_as_the_reference_has_them(
    diarizer: diarization.Diarizer,
    mono: np.ndarray,
    pipeline: pathlib.Path,  # type: ignore[type-arg]
) -> None:
    """In order, without overlaps, and mostly right; the answer says which pipeline it was."""
    found = await diarizer.diarize(diarization.Conversation("acme", mono.tobytes(), 2, 2))

    assert {0, 1} == {turn.speaker for turn in found}
    assert 0 == found[0].speaker
    assert all(one.end_s <= other.start_s + 0.001 for one, other in itertools.pairwise(found))
    assert spoken_to_both(found) > 0.8
    assert ("pyannote", pipeline.name) == (diarizer.info.backend, diarizer.info.pipeline)


@pytest.mark.timeout(300)
async def test_hints_are_kept_to(diarizer: diarization.Diarizer, mono: np.ndarray) -> None:  # type: ignore[type-arg]
    """One speaker is one speaker; of silence there are no turns; several recordings at once keep apart."""
    asked = [
        diarization.Conversation("acme", mono.tobytes(), 1, 1),
        diarization.Conversation("globex", bytes(16_000 * 2 * 12)),
        diarization.Conversation("acme", mono[: 16_000 * 30].tobytes(), 2, 2),
    ]

    one, none, two = await asyncio.gather(*map(diarizer.diarize, asked))
    assert {0} == {turn.speaker for turn in one}
    assert () == none
    assert {0, 1} == {turn.speaker for turn in two}
    assert max(turn.end_s for turn in two) <= 30.1


async def test_what_is_no_conversation_is_refused(on_triton: str) -> None:
    """In one sentence, by the server."""
    host, port = on_triton.removeprefix("grpc://").split(":")
    channel = triton.TritonChannel((host, int(port)), model="diarization")
    for head, pcm in ((b"{}{", b"xx"), (b'{"min_speakers": 0}', b"xx"), (b"[]", b"xxxx")):
        with pytest.raises(errors.PermanentError):
            turns.read_answer(await channel.ask(head, pcm, timeout_s=20))
    await channel.close()


@pytest.mark.timeout(300)
def test_a_transcript_names_both_speakers_of_one_channel(
    mono: np.ndarray,
    pipeline: pathlib.Path,
    tmp_path: pathlib.Path,  # type: ignore[type-arg]
) -> None:
    """`aftercall eval` in one process: the diarization error is low with the pipeline, and high without."""
    (tmp_path / "mono.wav").write_bytes(material.wav(mono, 16_000))
    rows = [{"audio": "mono.wav", "reference": str(CALL.with_suffix(".json")), "max_speakers": 2}]
    rows[0] |= {"min_speakers": 2, "language": "en"}
    (tmp_path / "calls.json").write_text(json.dumps(rows))
    (tmp_path / "with.yaml").write_text(f"speech: {{model: {material.MODEL}}}\ndiarization: {{pipeline: {pipeline}}}")
    (tmp_path / "without.yaml").write_text(f"speech: {{model: {material.MODEL}}}")
    told = ["eval", "--manifest", "calls.json", "--settings", "with.yaml", "--against", "without.yaml", "--json", "out"]
    subprocess.run(
        [sys.executable, "-c", WITH_PACKAGES.format(str(packages.build())), *told],
        cwd=tmp_path,
        check=True,
        timeout=200,
    )

    runs = json.loads((tmp_path / "out").read_text())["runs"]
    told_apart, as_one = (runs[name]["groups"]["all"]["der"] for name in ("with", "without"))
    print(f"\ndiarization error on one channel: {told_apart:.2f}, all one speaker {as_one:.2f}")
    assert told_apart < 0.35 < as_one


def test_a_body_is_as_long_as_four_hours_may_be() -> None:
    """And no longer: what a server holds of one request is bounded."""
    assert packing.max_bytes(turns.MAX_PCM_BYTES) < 462 * 10**6
    assert replicas.difference([], []) == ([], [])
