"""An OpenAI-compatible server over an engine of ours, as others serve theirs: verbose JSON with words and measures."""

from __future__ import annotations

import io
import threading
import time
import wave
from collections.abc import Iterator
from typing import Annotated, Any

import fastapi
import uvicorn
from peers import process

from aftercall.contracts import windows
from aftercall.serve.engines import ctranslate2


def serve(engine: ctranslate2.Engine) -> Iterator[str]:
    """Yield the address of a server in a thread of this process."""
    app = fastapi.FastAPI()
    turn = threading.Lock()

    @app.post("/v1/audio/transcriptions")
    def transcriptions(
        file: fastapi.UploadFile,
        temperature: Annotated[float, fastapi.Form()] = 0.0,
        language: Annotated[str | None, fastapi.Form()] = None,
    ) -> dict[str, Any]:
        with wave.open(io.BytesIO(file.file.read())) as told:
            pcm = told.readframes(told.getnframes())
        asked = windows.Options(language=language, temperature=temperature)
        with turn:
            result = engine.transcribe([windows.Window("one", "", pcm, asked)])[0]
        measures = {"avg_logprob": result.avg_logprob, "no_speech_prob": result.no_speech_probability}
        return {
            "text": result.text,
            "language": result.language,
            "segments": [{"start": 0.0, "end": len(pcm) / 32_000, "text": result.text, **measures}],
            "words": [
                {"word": word.text, "start": word.start_s, "end": word.end_s, "probability": word.probability}
                for word in result.words or ()
            ],
        }

    port = process.free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join()
