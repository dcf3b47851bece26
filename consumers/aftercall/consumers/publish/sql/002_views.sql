-- The current row of each recording: canonical before realtime, then the latest version's highest generation.
-- A later version is the one whose first generation was decided later; within a version only the generation counts.
CREATE VIEW IF NOT EXISTS recordings_current AS
SELECT * EXCEPT (version_at, place)
FROM
(
    SELECT
        *,
        row_number() OVER (
            PARTITION BY tenant, recording_id
            ORDER BY is_canonical DESC, version_at DESC, version DESC, generation DESC
        ) AS place
    FROM
    (
        SELECT *, min(decided_at) OVER (PARTITION BY tenant, recording_id, version) AS version_at
        FROM recordings FINAL
        WHERE (is_canonical = 1 OR outcome = 'realtime')
          AND (tenant, recording_id) NOT IN (SELECT tenant, recording_id FROM recordings WHERE is_deleted = 1)
    )
)
WHERE place = 1;

-- The segments of the current row of each recording, and of no other.
CREATE VIEW IF NOT EXISTS segments_current AS
SELECT segments.*
FROM (SELECT * FROM segments FINAL) AS segments
INNER JOIN recordings_current AS current
    ON segments.tenant = current.tenant
    AND segments.recording_id = current.recording_id
    AND segments.version = current.version
    AND segments.generation = current.generation
    AND segments.is_canonical = current.is_canonical;
