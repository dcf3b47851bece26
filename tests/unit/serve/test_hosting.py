"""What was put together runs together as far as it may, and nobody pays for another."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from aftercall.contracts import errors, outcomes, windows
from aftercall.serve import hosting, testing, wire


class Engine:
    """Buckets by language; a window of tenant `bad` fails its whole batch, one of `none` has no bucket."""

    info = testing.INFO

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def warm_up(self) -> None:
        """Be warm."""

    def bucket(self, window: windows.Window) -> Hashable:
        """Return the language."""
        if window.tenant == "none":
            raise errors.RejectedError("no such language", reason=outcomes.Reason.UNKNOWN_LANGUAGE)
        return window.options.language

    def transcribe(self, batch: Sequence[windows.Window]) -> list[windows.WindowResult]:
        """Say each window's own fingerprint."""
        self.batches.append([window.window_id for window in batch])
        if any(window.tenant == "bad" for window in batch):
            raise RuntimeError("what was said: a secret")
        return [testing.said(window, testing.fingerprint(window)) for window in batch]


def request(at: int, tenant: str = "acme", language: str = "en") -> hosting.Request:
    """Return a request of its own audio."""
    window = windows.Window(str(at), tenant, at.to_bytes(2, "little"), windows.Options(language=language))
    return hosting.Request(wire.head_of(window), window.pcm)


@given(st.lists(st.tuples(st.sampled_from(["acme", "bad", "none"]), st.sampled_from(["en", "es"])), max_size=12))
def test_each_gets_its_own_answer_in_its_place(asked: list[tuple[str, str]]) -> None:
    """Whatever fails beside it, and whichever buckets it is put into."""
    requests = [request(at, *one) for at, one in enumerate(asked)]

    answers = hosting.serve(Engine(), requests)

    assert len(requests) == len(answers)
    for at, ((tenant, _), data) in enumerate(zip(asked, answers, strict=True)):
        assert b"secret" not in data
        try:
            told = wire.read_answer(data)
        except errors.RejectedError:
            assert tenant == "none"
        except errors.TransientError:
            assert tenant == "bad"
        else:
            assert tenant == "acme"
            assert isinstance(told, windows.WindowResult)
            expected = testing.fingerprint(windows.Window("", "", at.to_bytes(2, "little")))
            assert (str(at), expected) == (told.window_id, told.text)


def test_one_engine_call_a_bucket() -> None:
    """However they are mixed; questions and nonsense cost none."""
    engine, sizes = Engine(), []
    asked = [request(0), request(1, language="es"), request(2), hosting.Request(wire.INFO_HEAD, b"xx"), request(3)]

    hosting.serve(engine, [*asked, hosting.Request(b"nonsense", b"xx")], on_batch=sizes.append)

    assert [["0", "2", "3"], ["1"]] == engine.batches
    assert [3, 1] == sizes


def test_answers_to_other_windows_are_nobodys() -> None:
    """An engine that mixes its rows is found out, and each row is asked alone."""

    class Mixing(Engine):
        def transcribe(self, batch: Sequence[windows.Window]) -> list[windows.WindowResult]:
            return super().transcribe(batch)[::-1]

    engine = Mixing()
    told = [wire.read_answer(one) for one in hosting.serve(engine, [request(0), request(1)])]

    assert ["0", "1"] == [one.window_id for one in told if isinstance(one, windows.WindowResult)]
    assert [["0", "1"], ["0"], ["1"]] == engine.batches
