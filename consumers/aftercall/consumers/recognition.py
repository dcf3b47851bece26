"""One recording to one transcript: fetch, decode, cut, hear, assemble. No decision is published here."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import pathlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from aftercall.consumers import (
    checkpoints,
    hearing,
    live,
    observer,
    speaking,
    stopwatch,
    tongues,
    tracing,
    usage,
    vocabulary,
)
from aftercall.consumers import room as rooms
from aftercall.consumers.intake import delivery
from aftercall.consumers.recording import cutting, decode, fetch, frames
from aftercall.consumers.transcript import document, heard, quality
from aftercall.contracts import diarization, errors, metrics, outcomes, reports, settings, tenants, transcript, windows

Report = Callable[[reports.Stage, float | None, float | None], Awaitable[None]]
"""Takes the stage, how far along it is (0 to 1) and the audio-seconds, each as far as known."""


async def unreported(_: reports.Stage, __: float | None, ___: float | None) -> None:
    """Report to nobody."""


class Recognizer:
    """Makes transcripts. Windows of all calls share `max_windows_in_flight` in fair order."""

    def __init__(
        self,
        backend: windows.SpeechBackend,
        fetcher: fetch.Fetcher,
        configured: settings.Settings,
        *,
        spool: pathlib.Path,
        egress_host: str | None = None,
        policy_of: Callable[[str], tenants.TenantPolicy] | None = None,
        observe: observer.Observer | None = None,
        listeners: live.Listeners | None = None,
        diarizer: diarization.Diarizer | None = None,
        meters: usage.Meters | None = None,
        now: Callable[[], datetime.datetime],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._backend = backend
        self._fetcher = fetcher
        self._settings = configured
        self._spool = spool
        self._egress_host = egress_host
        self._policy_of = policy_of or configured.policy
        self._observe = observe or observer.Unobserved()
        self._listeners = listeners
        self._speakers = speaking.Speaking(diarizer, max_duration_s=configured.diarization.max_duration_s)
        self._now = now
        self._clock = clock
        self._meters = meters or usage.Meters()
        self._room = rooms.Room(
            configured.speech.max_windows_in_flight,
            lambda tenant: self._policy_of(tenant).weight,
            on_change=lambda: self._meters.flying(self._room.n_taken, self._room.n_waiting),
        )
        recording = configured.recording
        self._limits = decode.Limits(
            memory_bytes=recording.decode_memory_bytes,
            cpu_s=recording.decode_cpu_s,
            stall_s=recording.decode_stall_s,
            max_duration_s=recording.max_duration_s,
            max_channels=recording.max_channels,
        )

    @property
    def n_windows_in_flight(self) -> int:
        """Windows that the backend has."""
        return self._room.n_taken

    async def transcribe(
        self, taken: delivery.Delivery, kept: checkpoints.Checkpoints, report: Report
    ) -> transcript.Transcript:
        """Make the transcript of one recording; raises the error families of `contracts.errors`."""
        language = self._language(taken)
        self._check_task(taken.event.task)
        terms = self._vocabulary(taken)
        self._check_egress(taken.work.recording.tenant)
        watch = stopwatch.Stopwatch(self._clock)
        with tempfile.TemporaryDirectory(dir=self._spool, prefix="job-") as folder:
            await report(reports.Stage.FETCHING, None, None)
            with watch.stage("fetch"), self._meters.preparing(), tracing.span("fetch"):
                fetched = await self._fetcher.fetch(
                    taken.event.recording_uri,
                    pathlib.Path(folder) / "recording",
                    tenant=taken.event.tenant,
                    version=taken.work.version,
                )
            await report(reports.Stage.DECODING, None, None)
            async with decode.open_recording(fetched.path, self._limits) as decoding:
                hear = hearing.Hearing(
                    self._backend,
                    kept,
                    taken.work,
                    temperatures=self._settings.speech.temperatures,
                    on_retry=lambda flag: self._observe.add(metrics.WINDOWS_RETRIED, flag=str(flag)),
                )
                copy = self._speakers.copy_of(decoding, pathlib.Path(folder) / "samples")
                cutter = cutting.Cutter(copy or decoding)
                speech = self._settings.speech
                options = windows.Options(
                    language=language,
                    task=taken.event.task,
                    beam_size=speech.beam_size,
                    trim=speech.trim_padding,
                    prompt=vocabulary.prompt_of(terms),
                    fill_prompt=speech.fill_prompts,
                )
                found = await self._hear_all(cutter, decoding.facts, hear, taken, options, report, watch)
                facts, trailer = decoding.facts, decoding.trailer
            spoken = None
            if copy is not None and any(window.result.text.strip() for window in found):
                with watch.stage("diarize"), tracing.span("diarize"):
                    spoken = await self._speakers.tell_apart(copy, taken.event)
        summary = cutter.summary
        await report(reports.Stage.ASSEMBLING, None, summary.duration_s * facts.channels)
        with watch.stage("assemble"), tracing.span("assemble"):
            made = document.build(
                document.Facts(
                    work=taken.work,
                    event=taken.event,
                    audio=_audio(facts, trailer, fetched),
                    truncated=summary.truncated,
                    channels=[heard.Channel(each.speech, each.rms) for each in summary.channels],
                    non_speech=_non_speech(summary),
                    heard_windows=found,
                    backend=self._backend.info,
                    options=options,
                    vocabulary=terms,
                    requested_language=language,
                    timings_s=watch.spent_s | {"decode_cpu": trailer.cpu_s},
                    spoken=spoken,
                ),
                now=self._now(),
            )
        for stage, spent_s in watch.spent_s.items():
            self._observe.observe(metrics.STAGE_SECONDS, spent_s, stage=stage)
        self._observe.add(metrics.AUDIO_SECONDS, made.cost.audio_s, tenant=made.tenant)
        return made

    async def _hear_all(
        self,
        cutter: cutting.Cutter,
        facts: frames.Facts,
        hear: hearing.Hearing,
        taken: delivery.Delivery,
        options: windows.Options,
        report: Report,
        watch: stopwatch.Stopwatch,
    ) -> list[heard.HeardWindow]:
        """Hear windows while the rest is still being decoded; decoding waits when too many are in flight."""
        found: list[heard.HeardWindow] = []
        in_order = live.InOrder()
        cut_until: dict[int, int] = {}
        open_from_s: dict[int, float] = {}
        spoken = tongues.Tongues(options.language, switching=self._settings.speech.code_switching)

        def tell(one: heard.HeardWindow) -> None:
            if self._listeners is None:
                return
            in_order.add(one)
            until_s = min([cutter.next_from_s, *open_from_s.values()])
            self._listeners.tell(taken.work.transcription_id, in_order.before(until_s))

        async def hear_one(cut: cutting.CutWindow, window: windows.Window, forward_s: float) -> None:
            language, probability = None, None
            try:
                measured = quality.WindowFacts(window.duration_s, cut.speech_in_window_s)
                with watch.stage("speech"), tracing.span("speech", {"window_s": window.duration_s}):
                    came = await hear.hear(window, measured)
                self._meters.heard.did(forward_s if came.asked else 0.0)
                one = heard.HeardWindow(
                    channel=cut.channel,
                    index=cut.index,
                    time_map=cut.time_map,
                    speech=cut.speech,
                    duration_s=window.duration_s,
                    result=came.result,
                    verdict=came.verdict,
                    attempts=came.attempts,
                )
                if came.verdict.accepted and not came.verdict.silent:
                    language, probability = came.result.language, came.result.language_probability
                found.append(one)
                del open_from_s[id(cut)]
                tell(one)
                await report(reports.Stage.TRANSCRIBING, _progress(cut, facts), None)
            finally:
                spoken.heard(cut.channel, language, probability)
                self._room.leave()

        with watch.stage("decode_and_speech"), tracing.span("decode and speech"):
            try:
                async with asyncio.TaskGroup() as group:
                    async for cut in _each(cutter, watch, self._meters):
                        end = cut.time_map.spans[-1].end
                        forward_s = (end - cut_until.get(cut.channel, 0)) / windows.SAMPLE_RATE_HZ
                        cut_until[cut.channel] = end
                        self._meters.prepared.did(forward_s)
                        name = f"{taken.work.transcription_id}/{cut.channel}/{cut.index}"
                        asked = dataclasses.replace(options, language=await spoken.ask(cut.channel))
                        window = windows.Window(name, taken.event.tenant, cut.pcm, asked)
                        open_from_s[id(cut)] = cut.time_map.spans[0].start / windows.SAMPLE_RATE_HZ
                        await self._room.enter(taken, window.duration_s)
                        group.create_task(hear_one(cut, window, forward_s))
            except BaseExceptionGroup as failed:
                raise _first(failed) from failed
        # The silence after the last window, or a channel without any.
        rest_s = cutter.summary.duration_s * facts.channels - sum(cut_until.values()) / windows.SAMPLE_RATE_HZ
        self._meters.prepared.did(rest_s)
        self._meters.heard.did(rest_s)
        return sorted(found, key=lambda window: (window.channel, window.index))

    def _language(self, taken: delivery.Delivery) -> str | None:
        asked = taken.event.language or self._policy_of(taken.event.tenant).language or self._settings.speech.language
        known = self._backend.info.languages
        if asked is None:
            return None
        plain = asked.lower().replace("_", "-").partition("-")[0]
        if known is not None and plain not in known:
            raise errors.RejectedError(
                f"language {asked!r} is not one that the model knows", reason=outcomes.Reason.UNKNOWN_LANGUAGE
            )
        return plain

    def _check_task(self, task: windows.Task) -> None:
        if task is windows.Task.TRANSLATE and not self._backend.info.capabilities.translation:
            raise errors.RejectedError(
                f"model {self._backend.info.model} cannot translate", reason=outcomes.Reason.UNSUPPORTED_OPTION
            )

    def _vocabulary(self, taken: delivery.Delivery) -> tuple[str, ...]:
        """Return the terms that the backend is told; none where it takes no prompts: the transcript shows it."""
        if not self._backend.info.capabilities.prompts:
            return ()
        return vocabulary.choose(taken.event.vocabulary, self._policy_of(taken.event.tenant).vocabulary)

    def _check_egress(self, tenant: str) -> None:
        host = self._egress_host
        if host is not None and host not in self._policy_of(tenant).egress_hosts:
            raise errors.PermanentError(
                f"the policy of tenant {tenant!r} lets no audio go to {host}; list it under its egress_hosts",
                reason=outcomes.Reason.TENANT_POLICY,
            )


async def _each(
    cutter: cutting.Cutter, watch: stopwatch.Stopwatch, meters: usage.Meters
) -> AsyncIterator[cutting.CutWindow]:
    """Pass windows on, counting only the time that decoding and cutting took."""
    source = cutter.windows()
    while True:
        with watch.stage("decode"), meters.preparing():
            cut = await anext(source, None)
        if cut is None:
            return
        yield cut


def _first(failed: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure that names the outcome: something permanent before something that may pass."""
    leaves: list[BaseException] = []
    stack: list[BaseException] = [failed]
    while stack:
        exc = stack.pop()
        if isinstance(exc, BaseExceptionGroup):
            stack += exc.exceptions
        else:
            leaves.append(exc)
    order = (asyncio.CancelledError, errors.PermanentError, errors.StrikeError, errors.TransientError)
    return min(leaves, key=lambda exc: next((at for at, kind in enumerate(order) if isinstance(exc, kind)), len(order)))


def _progress(cut: cutting.CutWindow, facts: frames.Facts) -> float | None:
    if not facts.declared_s:
        return None
    return min(1.0, cut.time_map.spans[-1].end / windows.SAMPLE_RATE_HZ / facts.declared_s)


def _audio(facts: frames.Facts, trailer: frames.Trailer, fetched: fetch.Fetched) -> transcript.Audio:
    return transcript.Audio(
        duration_s=round(trailer.n_samples / windows.SAMPLE_RATE_HZ, 3),
        channels=facts.channels,
        channel_layout=facts.channel_layout,
        sample_rate_hz=facts.sample_rate_hz,
        codec=facts.codec,
        container=facts.container,
        size_bytes=fetched.size_bytes,
        sha256=fetched.sha256,
    )


def _non_speech(summary: cutting.Summary) -> list[transcript.NonSpeech]:
    steady = [
        transcript.NonSpeech(channel=index, start_s=_s(each.start), end_s=_s(each.end), kind=str(each.sound))  # type: ignore[arg-type]
        for index, channel in enumerate(summary.channels)
        for each in channel.steady
    ]
    silent = [
        transcript.NonSpeech(channel=None, start_s=_s(span.start), end_s=_s(span.end), kind="silence")
        for span in summary.silences()
    ]
    return sorted([*steady, *silent], key=lambda each: (each.start_s, each.channel or 0))


def _s(samples: int) -> float:
    return round(samples / windows.SAMPLE_RATE_HZ, 3)
