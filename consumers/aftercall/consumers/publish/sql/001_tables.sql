-- One row per generation of a recording. `precedence` decides which row of a key stays: never a clock.
CREATE TABLE IF NOT EXISTS recordings
(
    tenant String,
    call_id String,
    recording_id String,
    version String,
    generation UInt32,
    is_canonical UInt8,
    is_deleted UInt8 DEFAULT 0,
    transcription_id String,
    outcome LowCardinality(String),
    reason LowCardinality(String),
    language LowCardinality(Nullable(String)),
    duration_s Nullable(Float64),
    audio_s Nullable(Float64),
    coverage Nullable(Float64),
    segments UInt32,
    words UInt32,
    model LowCardinality(String),
    transcript_key String,
    decided_at DateTime64(3, 'UTC'),
    precedence UInt8
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (tenant, recording_id, version, generation, is_canonical);

-- One row per segment. Realtime rows have is_canonical = 0 and generation = 0.
CREATE TABLE IF NOT EXISTS segments
(
    tenant String,
    call_id String,
    recording_id String,
    version String,
    generation UInt32,
    is_canonical UInt8,
    segment_id UInt32,
    channel UInt8,
    speaker String,
    role LowCardinality(Nullable(String)),
    start_s Float64,
    end_s Float64,
    text String,
    language LowCardinality(Nullable(String)),
    confidence Nullable(Float32),
    flags Array(LowCardinality(String)),
    precedence UInt8
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (tenant, recording_id, version, generation, is_canonical, segment_id);
