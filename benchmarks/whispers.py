"""Whispers of the true sizes with random weights, in CTranslate2 form: speed does not depend on what weights say."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import tempfile

import numpy as np
from ctranslate2 import specs

ROOT = pathlib.Path(__file__).resolve().parents[1]
TINY_FIXTURE = ROOT / "tests" / "fixtures" / "asr-tiny"
VOCABULARY = 51_865


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A Whisper's shape, as its paper and its model card have it; widths and heads are the encoder's and decoder's."""

    layers: int
    width: int
    heads: int
    decoder_layers: int
    mels: int = 80
    vocabulary: int = VOCABULARY


SIZES = {
    "tiny": Size(4, 384, 6, 4),
    "base": Size(6, 512, 8, 6),
    "small": Size(12, 768, 12, 12),
    "large-v3-turbo": Size(32, 1280, 20, 4, mels=128, vocabulary=VOCABULARY + 1),
    "large-v3": Size(32, 1280, 20, 32, mels=128, vocabulary=VOCABULARY + 1),
}
ON_A_CPU = ("tiny", "base", "small")
_KEPT_AS = {"large-v3-turbo": "float16", "large-v3": "float16"}


def build(name: str, folder: pathlib.Path | None = None) -> pathlib.Path:
    """Write a random Whisper (int8 for a CPU, float16 for a GPU) and return its folder; a cached one is used again."""
    target = (folder or pathlib.Path(tempfile.gettempdir()) / "aftercall-bench") / f"random-{name}"
    if (target / "model.bin").exists():
        return target
    size = SIZES[name]
    spec = specs.WhisperSpec(size.layers, size.heads, size.decoder_layers, size.heads)
    # A million normal numbers, laid again and again from another start: 1.5 billion drawn ones would take minutes.
    drawn = (np.random.default_rng(1).standard_normal(2**20 + 7) * 0.02).astype(np.float32)

    def matrix(*shape: int) -> np.ndarray:
        return np.resize(drawn, shape)

    def linear(target: object, rows: int, columns: int) -> None:
        target.weight, target.bias = matrix(rows, columns), matrix(rows)  # type: ignore[attr-defined]

    def norm(target: object) -> None:
        target.gamma, target.beta = np.ones(size.width, np.float32), np.zeros(size.width, np.float32)  # type: ignore[attr-defined]

    encoder, decoder, width = spec.encoder, spec.decoder, size.width
    encoder.conv1.weight, encoder.conv1.bias = matrix(width, size.mels, 3), matrix(width)
    encoder.conv2.weight, encoder.conv2.bias = matrix(width, width, 3), matrix(width)
    encoder.position_encodings.encodings = matrix(1500, width)
    decoder.position_encodings.encodings = matrix(448, width)
    decoder.embeddings.weight = matrix(size.vocabulary, width)
    decoder.projection.weight = decoder.embeddings.weight
    for part in (encoder, decoder):
        norm(part.layer_norm)
        for layer in part.layer:
            norm(layer.self_attention.layer_norm)
            linear(layer.self_attention.linear[0], 3 * width, width)
            linear(layer.self_attention.linear[1], width, width)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, 4 * width, width)
            linear(layer.ffn.linear_1, width, 4 * width)
    for layer in decoder.layer:
        norm(layer.attention.layer_norm)
        linear(layer.attention.linear[0], width, width)
        linear(layer.attention.linear[1], 2 * width, width)
        linear(layer.attention.linear[2], width, width)
    tokens = [f"t{at}" for at in range(size.vocabulary)]
    fixture = _fixture_tokens()
    tokens[: len(fixture)] = fixture
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [220, 50257]
    spec.config.alignment_heads = [[size.decoder_layers - 1, 0]]
    spec.config.lang_ids = list(range(50259, 50358))
    spec.validate()
    spec.optimize(quantization=_KEPT_AS.get(name, "int8"))
    target.mkdir(parents=True, exist_ok=True)
    spec.save(str(target))
    shutil.copy(TINY_FIXTURE / "tokenizer.json", target)
    features = json.loads((TINY_FIXTURE / "preprocessor_config.json").read_text(encoding="utf-8"))
    (target / "preprocessor_config.json").write_text(json.dumps(features | {"feature_size": size.mels}))
    return target


def _fixture_tokens() -> list[str]:
    return list(json.loads((TINY_FIXTURE / "vocabulary.json").read_text(encoding="utf-8")))
