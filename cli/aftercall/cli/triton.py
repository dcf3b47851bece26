"""`aftercall triton`: what a Triton server needs of us."""

from __future__ import annotations

import pathlib
from typing import Annotated, Literal

import typer

from aftercall.serve import triton_repository

app = typer.Typer(name="triton", help="Write what a Triton server serves.", no_args_is_help=True)
_DEFAULT = triton_repository.Speech()


@app.callback()
def _root() -> None:
    """Keep `render` a command of its own."""


@app.command()
def render(
    folder: Annotated[pathlib.Path, typer.Argument(file_okay=False, help="Folder of the model repository.")],
    model: Annotated[
        str | None, typer.Option("--model", help="A name that faster-whisper knows, or a path on the server.")
    ] = None,
    engine: Annotated[
        Literal["ctranslate2", "tensorrt_llm"], typer.Option("--engine", help="What hears; TensorRT-LLM wants a GPU.")
    ] = "ctranslate2",
    device: Annotated[Literal["cpu", "cuda"], typer.Option("--device", help="Where the engine runs.")] = "cuda",
    precision: Annotated[
        str, typer.Option("--precision", help="CTranslate2 compute type; auto: int8 on a CPU, int8_float16 on a GPU.")
    ] = _DEFAULT.precision,
    threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads of an instance; 0: all.")] = 0,
    instances: Annotated[
        int, typer.Option("--instances", min=1, help="Engines, each a process with its own copy of the model.")
    ] = _DEFAULT.instances,
    max_batch: Annotated[int, typer.Option("--max-batch", min=1, help="Windows in one engine call.")] = 16,
    max_queue: Annotated[
        int, typer.Option("--max-queue", min=1, help="Windows that wait; who comes beyond is refused, and comes again.")
    ] = _DEFAULT.max_queue_windows,
    diarization: Annotated[
        str | None, typer.Option("--diarization", help="A pyannote pipeline: a folder on the server, or a hub name.")
    ] = None,
) -> None:
    """Write a model repository for one model, device and precision; for a diarization pipeline; or for both.

    Example: aftercall triton render ./models --model large-v3-turbo --precision int8_float16
    """
    if model is None and diarization is None:
        raise typer.BadParameter("name a --model, a --diarization pipeline, or both")
    if diarization is not None:
        typer.echo(triton_repository.write(triton_repository.Diarization(diarization, device=device), folder))
    if model is None:
        return
    speech = triton_repository.Speech(
        model=model,
        engine=engine,
        device=device,
        precision=precision,
        threads=threads,
        instances=instances,
        max_batch_windows=max_batch,
        max_queue_windows=max_queue,
    )
    typer.echo(triton_repository.write(speech, folder))
