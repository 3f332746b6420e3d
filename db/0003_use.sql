-- How builds are used, and which enclaves hold what.  Statistics, written with each release in
-- its transaction; under no MAC, because nothing is decided by them.

-- A build that was released to, or whose counting began later than its registration.
-- counted_from_ms: when it was activated, or when the store began to count; NULL: since it was
-- registered.  releases: documents that it granted something to; enclaves: distinct module_ids
-- of them.
CREATE TABLE measurement_use (
    measurement_id  INTEGER PRIMARY KEY REFERENCES measurement (id),
    counted_from_ms INTEGER,
    first_ms        INTEGER,
    last_ms         INTEGER,
    releases        INTEGER NOT NULL,
    enclaves        INTEGER NOT NULL
) STRICT;

-- The same releases by day (UTC, since 1970); of each build the last 400 days that had any.
CREATE TABLE measurement_day (
    measurement_id INTEGER NOT NULL REFERENCES measurement (id),
    day            INTEGER NOT NULL,
    releases       INTEGER NOT NULL,
    PRIMARY KEY (measurement_id, day)
) STRICT, WITHOUT ROWID;

-- What an enclave was given, and by which build: it holds that until it ends.
CREATE TABLE enclave_use (
    id             INTEGER PRIMARY KEY,
    measurement_id INTEGER NOT NULL REFERENCES measurement (id),
    module_id      TEXT    NOT NULL,
    secret_id      INTEGER NOT NULL REFERENCES secret (id),
    version        INTEGER NOT NULL,
    first_ms       INTEGER NOT NULL,
    last_ms        INTEGER NOT NULL,
    releases       INTEGER NOT NULL,
    UNIQUE (measurement_id, module_id, secret_id, version)
) STRICT;
CREATE INDEX enclave_use_measurement ON enclave_use (measurement_id);

-- Builds that are here already were used before this was counted: they are not unused, but not
-- counted until now, which is the newest audit record.
INSERT INTO measurement_use (measurement_id, counted_from_ms, releases, enclaves)
    SELECT id, (SELECT max(time_ms) FROM audit), 0, 0 FROM measurement;
