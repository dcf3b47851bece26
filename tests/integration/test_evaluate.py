"""`aftercall eval` on the test model and the held-out calls."""

from __future__ import annotations

import html.parser
import json
import pathlib

import material
import pytest
from typer import testing

from aftercall.cli import main


@pytest.fixture
def manifest(tmp_path: pathlib.Path) -> pathlib.Path:
    """List three calls of two tenants."""
    path = tmp_path / "calls.jsonl"
    calls = sorted(material.CALLS.glob("*.opus"))[:3]
    rows = [
        {
            "audio": str(call),
            "reference": str(call.with_suffix(".json")),
            "tenant": f"t{at % 2}",
            "language": "en",
            "half": "first" if at < 2 else "second",
        }
        for at, call in enumerate(calls)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


class Page(html.parser.HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and addresses that lead elsewhere."""
        self.tags.append(tag)
        self.outside += [
            str(value) for name, value in attrs if name in {"src", "href"} and str(value).startswith(("http", "//"))
        ]


def test_figures_of_two_configurations_on_the_same_calls(manifest: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A table, a comparison, every call's figures as JSON, and a page that needs nothing from elsewhere."""
    second = tmp_path / "beams.yaml"
    second.write_text(f"speech: {{model: {material.MODEL}, beam_size: 3}}")
    told = testing.CliRunner().invoke(
        main.app,
        [
            *("eval", "--manifest", str(manifest), "--model", str(material.MODEL), "--against", str(second)),
            *("--html", str(tmp_path / "page.html"), "--json", str(tmp_path / "all.json")),
        ],
    )

    assert 0 == told.exit_code, told.output
    assert "tenant=t1" in told.output
    assert "half=second" in told.output
    assert "of words" in told.output
    found = json.loads((tmp_path / "all.json").read_text())
    assert ["asr-tiny", "beams"] == list(found["runs"])
    every = found["runs"]["asr-tiny"]["groups"]["all"]
    assert (3, 0) == (every["calls"], every["failed"])
    assert 0 < every["wer"] < 0.15
    assert 0 < every["der"] < 0.3
    assert every["word_start_p50_s"] < 0.2
    assert every["coverage"] > 0.9
    assert found["difference"]["low"] <= found["difference"]["wer"] <= found["difference"]["high"]
    page = Page()
    page.feed((tmp_path / "page.html").read_text())
    assert 3 == page.tags.count("svg")
    assert 3 == page.tags.count("table")
    assert not page.outside
    said = " ".join(turn["text"] for turn in material.reference(material.CALLS / "call-1.opus")["turns"][:1])
    assert said not in (tmp_path / "page.html").read_text() + (tmp_path / "all.json").read_text()


def test_a_call_that_fails_is_named_and_counted(tmp_path: pathlib.Path) -> None:
    """The others are measured all the same; the exit code says that something is missing."""
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    rows = [
        {"audio": str(tmp_path / "broken.wav"), "text": "hello anna"},
        {"audio": str(material.CALLS / "call-8.opus"), "reference": str(material.CALLS / "call-8.json")},
    ]
    (tmp_path / "calls.json").write_text(json.dumps(rows))
    told = testing.CliRunner().invoke(
        main.app, ["eval", "--manifest", str(tmp_path / "calls.json"), "--model", str(material.MODEL)]
    )

    assert 1 == told.exit_code
    assert "local/broken.wav: " in told.output
    assert " 2 │      1 │" in told.output
