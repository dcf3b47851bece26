"""One setting chooses who hears; and only what leaves the installation needs a tenant's leave."""

from __future__ import annotations

import pytest

from aftercall.contracts import sections
from aftercall.serve import backends


@pytest.mark.parametrize(
    ("told", "kind", "host"),
    [
        ({}, "inprocess.InProcessBackend", None),
        ({"url": "grpc://speech:8001"}, "remote.RemoteBackend", None),
        ({"url": "http://speech", "backend": "ray"}, "remote.RemoteBackend", None),
        ({"url": "http://speech:8000", "backend": "triton"}, "remote.RemoteBackend", None),
        ({"url": "https://stt.example.com"}, "openai.OpenAIBackend", "stt.example.com"),
        ({"url": "http://127.0.0.1:8000"}, "openai.OpenAIBackend", None),
        ({"url": "https://stt.example.com", "backend": "inprocess"}, "inprocess.InProcessBackend", None),
    ],
)
async def test_one_setting_chooses(told: dict[str, object], kind: str, host: str | None) -> None:
    """By its name, or by the address alone."""
    speech = sections.Speech.model_validate(told)

    built = type(backends.build(speech))

    assert kind == f"{built.__module__.rpartition('.')[2]}.{built.__name__}"
    assert host == backends.egress_host(speech)


@pytest.mark.parametrize("url", ["ftp://speech", "speech:8001", "grpc://"])
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    """With the settings, before anything starts."""
    with pytest.raises(ValueError, match="url"):
        sections.Speech.model_validate({"url": url})
