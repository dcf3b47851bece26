"""The groups of settings: each field with its unit, its default and why. `settings` reads them."""

from __future__ import annotations

import ipaddress
import pathlib
from typing import Annotated, Any, Literal

import pydantic

_AUTO_LANGUAGE = frozenset({"", "auto", "detect"})

PositiveSeconds = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Ratio = Annotated[float, pydantic.Field(ge=0, le=1, allow_inf_nan=False)]
Network = Annotated[str, pydantic.AfterValidator(lambda text: str(ipaddress.ip_network(text)))]


SpeechUrl = Annotated[
    pydantic.AnyUrl, pydantic.UrlConstraints(allowed_schemes=["http", "https", "grpc"], host_required=True)
]


class Section(pydantic.BaseModel):
    """A group of settings; unknown names are problems, so that a typing error cannot pass unseen."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Data(Section):
    """Where state lies."""

    dir: pathlib.Path = pathlib.Path("aftercall-data")
    """Folder of the embedded stores: queue, transcripts, outcomes and ClickHouse."""


class Intake(Section):
    """Which recordings are taken, and how many at once."""

    enabled: bool = True
    """Whether recordings are transcribed at all; when off, requests answer 503 and the folder is not watched."""
    recordings_dir: pathlib.Path | None = None
    """Folder that is watched for recordings, laid out as `{tenant}/{call_id}.ext`; none: nothing is watched."""
    scan_interval_s: PositiveSeconds = 1.0
    """Seconds between looks at the watched folder."""
    settle_s: Annotated[float, pydantic.Field(ge=0, le=600)] = 2.0
    """Seconds a file must stay unchanged before it is taken, so that one still being copied is left alone."""
    max_open_calls: Annotated[int, pydantic.Field(ge=1, le=256)] = 4
    """Recordings worked on at once: enough to fill batches with windows of several calls, few enough to finish them."""
    tenants_file: pathlib.Path | None = None
    """YAML file of tenants' policies, read again when it changes, for `aftercall consume`; beats `tenants`. Of a folder
    every `*.yaml` is read, and those of its folders; an empty one: there are no tenants yet."""
    promise_s: PositiveSeconds = 600.0
    """Seconds after its event in which a recording's transcript is due, where its topic says nothing else."""
    max_strikes: Annotated[int, pydantic.Field(ge=1, le=100)] = 3
    """Deaths of a recording's own decode child before it is given up as dead."""


class Recording(Section):
    """What a recording may cost before it is refused."""

    max_size_bytes: Annotated[int, pydantic.Field(ge=1)] = 2 * 1024**3
    """Bytes of a recording; 2 GiB holds 12 h of 8 kHz 16-bit stereo WAV nearly four times over."""
    max_duration_s: PositiveSeconds = 12 * 3600.0
    """Seconds of decoded audio after which a recording is refused: a file may lie about its length."""
    max_channels: Annotated[int, pydantic.Field(ge=1, le=64)] = 8
    """Channels that are transcribed; a recording with more is refused, never cut down."""
    from_web: bool = False
    """Whether events may name recordings at `http://` and `https://` addresses, on public networks only."""
    private_networks: tuple[Network, ...] = ()
    """Networks, such as `10.1.0.0/16`, that those addresses may lie in all the same."""
    decode_memory_bytes: Annotated[int, pydantic.Field(ge=64 * 1024**2)] = 512 * 1024**2
    """Address space of the decode child."""
    decode_cpu_s: PositiveSeconds = 600.0
    """CPU seconds of the decode child; a 3 h stereo call takes about 15."""
    decode_stall_s: PositiveSeconds = 60.0
    """Seconds without a block from the decode child, while one is being waited for, before it is ended."""


class Speech(Section):
    """Which model hears the windows, where it runs, and how it decodes."""

    backend: Literal["auto", "inprocess", "triton", "ray", "openai"] = "auto"
    """`inprocess` runs CTranslate2 here; `triton`, `ray` and `openai` call the servers at `url`; `auto` goes by the
    url: none is `inprocess`, `grpc:` is `triton`, and `http:` or `https:` are `openai`."""
    url: SpeechUrl | None = None
    """The Triton servers (`grpc://name:8001`) or Ray Serve's proxies (`http://name:8000`) behind a name, best a
    headless Service's; or an OpenAI-compatible transcription server, to which audio goes only for tenants whose policy
    lists its host."""
    api_key: pydantic.SecretStr | None = None
    """Bearer token for `url`."""
    engine: Literal["ctranslate2", "tensorrt_llm"] = "ctranslate2"
    """What hears in this process, or in a replica of the Ray deployment. TensorRT-LLM wants a GPU, and `model` to be a
    folder as Hugging Face lays a Whisper out; it has no word times, vocabulary and beams."""
    model: str | None = None
    """A name that faster-whisper knows, or a path; none: `base` on a CPU, `large-v3-turbo` on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the engine runs."""
    precision: str = "auto"
    """CTranslate2 compute type; `auto` is `int8` on a CPU and `int8_float16` on a GPU."""
    threads: Annotated[int, pydantic.Field(ge=0, le=256)] = 0
    """CPU threads of the engine; 0: as many as this process may use."""
    workers: Annotated[int, pydantic.Field(ge=0, le=64)] = 0
    """Batches that run at once, sharing the threads; 0: on a CPU one for each thread up to four, on a GPU one."""
    language: str | None = None
    """Language of every recording whose event names none; none: detected, once for each channel."""
    code_switching: bool = False
    """Detect the language of every window anew, for callers who change it within a call. A short window is at times
    taken for another language, so this is worth it only where they do."""
    beam_size: Annotated[int, pydantic.Field(ge=1, le=16)] = 1
    """Beams; 1 is greedy. 5 reads the decoder's weights five times as often."""
    max_batch_windows: Annotated[int, pydantic.Field(ge=1, le=256)] = 8
    """Windows in one engine call."""
    max_wait_s: Annotated[float, pydantic.Field(ge=0, le=60)] = 0.05
    """Seconds that a window may wait for others to share its batch."""
    max_windows_in_flight: Annotated[int, pydantic.Field(ge=1, le=4096)] = 32
    """Windows submitted and not yet answered, over all calls: 32 windows of 30 s are 31 MB."""
    temperatures: tuple[Annotated[float, pydantic.Field(ge=0, le=1)], ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Temperatures tried in turn until a window's result passes the quality measures."""
    trim_padding: bool = False
    """Pad short windows to 10, 15, 20 or 25 s, not 30: up to 3 times as fast on a CPU; try it on your own calls
    first, since models differ in how they bear it. What fails the quality measures is decoded again, padded in full."""
    fill_prompts: bool = False
    """Say parts of a vocabulary twice, to 2, 4, 8, 16 and so on up to 223 tokens: windows of different vocabularies
    then share batches, which CTranslate2 forms of prompts of one length only. Try it on your own calls first."""
    request_timeout_s: PositiveSeconds = 120.0
    """Seconds for one request to `url`."""

    @pydantic.field_validator("language", mode="before")
    @classmethod
    def _auto_is_none(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.strip().lower() in _AUTO_LANGUAGE else value

    @pydantic.field_validator("temperatures")
    @classmethod
    def _one_at_least(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("is empty; it needs at least one temperature, usually 0.0")
        return value


class Shadow(Speech):
    """A second backend, described as `speech` is, that a share of recordings is tried on; only figures are kept."""

    share: Ratio = 0.0
    """Share of recordings, 0 to 1; 0: there is no second backend."""


class Diarization(Section):
    """Who speaks when on recordings of one channel. Without a pipeline and a url such a recording has one speaker."""

    backend: Literal["auto", "inprocess", "triton", "ray"] = "auto"
    """As `speech.backend`: `auto` goes by the url; none is `inprocess`, `grpc:` is `triton`, `http:` is `ray`."""
    url: SpeechUrl | None = None
    """The Triton servers (`grpc://name:8001`) or Ray Serve's proxies (`http://name:8000`) behind a name."""
    pipeline: str | None = None
    """A pyannote pipeline: a folder, or a name on the hub such as `pyannote/speaker-diarization-community-1`."""
    token: pydantic.SecretStr | None = None
    """Token of a hub account that was let in to a gated pipeline."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the pipeline runs."""
    batch_size: Annotated[int, pydantic.Field(ge=1, le=1024)] = 32
    """Chunks, and voices, that its models take at once."""
    max_in_flight: Annotated[int, pydantic.Field(ge=1, le=64)] = 2
    """Recordings that are with the diarizer at a time, whole: an hour has 115 MB."""
    max_duration_s: Annotated[float, pydantic.Field(gt=0, le=4 * 3600)] = 4 * 3600.0
    """Seconds of a recording beyond which it is left with one speaker, and flagged."""
    request_timeout_s: PositiveSeconds = 1800.0
    """Seconds for one recording."""
    replicas: Annotated[int, pydantic.Field(ge=1, le=1000)] = 1
    """Pipelines of the Ray deployment, each with its own copy of the models."""
    cpus: Annotated[float, pydantic.Field(ge=0, le=256)] = 1
    """CPUs that Ray sets aside for each."""
    gpus: Annotated[float, pydantic.Field(ge=0, le=8)] = 0
    """GPUs, or a share of one, that Ray sets aside for each."""


class Serving(Section):
    """The speech deployment on Ray Serve, which hosts what `speech` describes."""

    replicas: Annotated[int, pydantic.Field(ge=1, le=1000)] = 1
    """Engines, each with its own copy of the model. Ray Serve deploys nothing with none."""
    ingresses: Annotated[int, pydantic.Field(ge=1, le=100)] = 1
    """Processes that take requests and hand them to replicas."""
    cpus: Annotated[float, pydantic.Field(ge=0, le=256)] = 1
    """CPUs that Ray sets aside for a replica; give as many as `speech.threads`."""
    gpus: Annotated[float, pydantic.Field(ge=0, le=8)] = 0
    """GPUs that Ray sets aside for a replica; a share, such as 0.5, puts two replicas on one."""
    max_queued_windows: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 256
    """Windows that wait beyond those that replicas hold; who comes then is answered 429."""
    drain_s: PositiveSeconds = 60.0
    """Seconds that a replica which is to go may take for what it holds."""


class Webhooks(Section):
    """How the relay tells tenants of outcomes. Where, and signed with what, is in each tenant's policy."""

    api_url: pydantic.HttpUrl | None = None
    """Address under which tenants reach the REST API; webhooks name transcripts by it. None: there are no webhooks."""
    topic_prefix: str = "webhooks.after"
    """Begins the names of the topics in which attempts wait, such as `webhooks.after.300s`."""
    timeout_s: PositiveSeconds = 20.0
    """Seconds for an endpoint to answer."""
    private_networks: tuple[Network, ...] = ()
    """Networks, such as `10.1.0.0/16`, that endpoints may lie in beside public ones."""


class Telemetry(Section):
    """Where every part answers `/healthz`, `/readyz` and `/metrics`; where traces go; how parts log."""

    host: str = "127.0.0.1"
    """Address to bind; in a pod `0.0.0.0`, with a network policy that lets only Prometheus and the kubelet in."""
    port: Annotated[int, pydantic.Field(ge=0, le=65535)] | None = None
    """Port to bind; none: nothing is served."""
    otlp_endpoint: pydantic.HttpUrl | None = None
    """Address of an OpenTelemetry collector, such as `http://collector:4318`; none: no traces are sent."""
    trace_ratio: Ratio = 1.0
    """Share of traces that are sent; where an event carries a trace, its producer has decided."""
    log_format: Literal["text", "json"] = "text"
    """One line a record, for people, or one JSON object."""


class Operator(Section):
    """`aftercall operator`, which sets replicas and shares limits out between consumers."""

    namespace: str | None = None
    """Kubernetes namespace that it looks after; none: that of its own pod."""
    host: str = "127.0.0.1"
    """Address to bind for consumers' reports; in a pod `0.0.0.0`, with a network policy that lets only consumers in."""
    port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 8480
    """Port to bind for them; 0 takes a free one."""
    certificate_file: pathlib.Path | None = None
    """Certificate of that port; none: consumers report in the clear, with tokens that are good for nothing else."""
    key_file: pathlib.Path | None = None
    """The key of the certificate."""
    audience: str = "aftercall-operator"
    """Audience that a consumer's service account token must be made for."""
    service_accounts: tuple[str, ...] = ()
    """Service accounts of the namespace that may report; none: nobody may."""
    lease: str = "aftercall-operator"
    """Name of the Lease that whoever issues grants must hold."""
    lease_s: PositiveSeconds = 15.0
    """Seconds without a renewal after which another operator may take the Lease."""
    tenants_config_maps: tuple[str, ...] = ("aftercall-tenants-0",)
    """ConfigMaps that tenants are compiled into, which exist already; each holds a share of them, at most 1 MiB."""
    ray_token_file: pathlib.Path | None = None
    """File of the token that Ray's dashboards ask for (`RAY_AUTH_MODE=token`), read again each time; none: they ask for
    none."""
    interval_s: PositiveSeconds = 5.0
    """Seconds between looks at a pool."""
    grant_lease_s: Annotated[float, pydantic.Field(ge=1, le=86_400)] = 900.0
    """Seconds for which a grant is good without a newer one: how long the operator may be away unnoticed."""
    stale_s: PositiveSeconds = 60.0
    """Seconds without a look at a pool, or with a change that a watch has not told of, before the probe goes red."""


class Reporting(Section):
    """How a consumer tells the operator of its work, and gets its part of tenants' limits."""

    url: pydantic.HttpUrl | None = None
    """Address of the operator's reports, `http://name:8480`; none: this consumer has every limit to itself."""
    pool: str | None = None
    """Name of the TranscriptionPool that this consumer belongs to."""
    name: str | None = None
    """Name of this consumer's pod; none: the machine's name, which is the pod's."""
    token_file: pathlib.Path | None = None
    """File that holds a service account token for the operator's audience; read again for every report."""
    ca_file: pathlib.Path | None = None
    """Certificates to trust, for `https`; none: the system's."""
    interval_s: PositiveSeconds = 5.0
    """Seconds between reports."""

    @pydantic.model_validator(mode="after")
    def _says_who_reports(self) -> Reporting:
        missing = [name for name in ("pool", "token_file") if getattr(self, name) is None]
        if self.url is not None and missing:
            raise ValueError(f"reporting.url needs {' and '.join(f'reporting.{name}' for name in missing)} beside it")
        return self


class Api(Section):
    """The REST API."""

    host: str = "127.0.0.1"
    """Address to bind; anything but loopback wants `keys`."""
    port: Annotated[int, pydantic.Field(ge=0, le=65535)] = 8400
    """Port to bind; 0 takes a free one."""
    public_url: pydantic.HttpUrl | None = None
    """Address under which `aftercall api` is reached from outside; providers sign their callbacks over it."""
    keys: dict[str, pydantic.SecretStr] = pydantic.Field(default_factory=dict)
    """API keys by tenant. With any key set, every request must carry one."""
    max_upload_bytes: Annotated[int, pydantic.Field(ge=1)] = 2 * 1024**3
    """Bytes of one uploaded recording."""
    uploads_bucket: str | None = None
    """For `aftercall api`: one of `store.recording_buckets`, in which recordings are kept that OpenAI's clients send;
    none: it takes none. `aftercall up` keeps them in its data folder."""
    model_names: tuple[str, ...] = ("whisper-1",)
    """Names under which OpenAI's clients may ask for the model, beside its own."""
    wait_s: PositiveSeconds = 540.0
    """Seconds that such a client waits for its transcript; those clients give up after 600 by themselves."""
    max_waiting_requests: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 64
    """Such requests of one tenant that wait at once; the next is answered 429."""

    @pydantic.field_validator("keys")
    @classmethod
    def _one_key_one_tenant(cls, keys: dict[str, pydantic.SecretStr]) -> dict[str, pydantic.SecretStr]:
        plain = [key.get_secret_value().strip() for key in keys.values()]
        if not all(plain):
            raise ValueError("holds an empty key; leave the tenant out, or give it one")
        if len(plain) != len(set(plain)):
            raise ValueError("gives two tenants the same key")
        return keys
