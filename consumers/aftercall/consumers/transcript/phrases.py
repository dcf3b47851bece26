"""Sentences that Whisper is known to say where nobody speaks: its training data were films with subtitles.

They are common in every public collection of such inventions (Barański et al., "Investigation of Whisper ASR
hallucinations induced by non-speech audio", ICASSP 2025, is one); nobody says them in a second of a phone call.
"""

from __future__ import annotations

import re

_KNOWN = (
    "thank you for watching",
    "thanks for watching",
    "thank you so much for watching",
    "please subscribe",
    "subscribe to my channel",
    "like and subscribe",
    "see you in the next video",
    "see you next time",
    "i'll see you in the next one",
    "subtitles by",
    "subtitled by",
    "captions by",
    "transcription by",
    "transcribed by",
    "translated by",
    "amara.org",
    "www.mooji.org",
    "untertitel der",
    "untertitel im auftrag des zdf",
    "untertitelung des zdf",
    "vielen dank fürs zuschauen",
    "sous-titres réalisés",
    "sous-titrage",
    "merci d'avoir regardé",
    "subtítulos realizados por",
    "subtítulos por la comunidad",
    "gracias por ver el video",
    "suscríbete al canal",
    "sottotitoli creati dalla",
    "sottotitoli e revisione a cura di",
    "grazie per aver guardato il video",
    "legendas pela comunidade",
    "obrigado por assistir",
    "ondertiteld door",
    "ondertitels ingediend door",
    "napisy stworzone przez",
    "dziękuję za oglądanie",
    "редактор субтитров",
    "субтитры сделал",
    "продолжение следует",
    "спасибо за просмотр",
    "altyazı m.k",  # noqa: RUF001 -- Turkish
    "izlediğiniz için teşekkürler",
    "ご視聴ありがとうございました",
    "チャンネル登録",
    "字幕由",
    "请不吝点赞",
    "謝謝觀看",
    "시청해주셔서 감사합니다",
)
_FOLDED = tuple(re.sub(r"[\W_]+", "", phrase.casefold()) for phrase in _KNOWN)


def is_known(text: str) -> bool:
    """Say whether a text holds one of these sentences, whatever its case, spaces and punctuation."""
    folded = re.sub(r"[\W_]+", "", text.casefold())
    return any(phrase in folded for phrase in _FOLDED)
