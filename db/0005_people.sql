-- Persons beyond the first, and pipelines.

-- CBOR array of image names, ascending, each once: the only images whose builds the token may
-- draft.  NULL: all, and whatever its rights allow.
ALTER TABLE token ADD COLUMN images BLOB;

-- Who registered the build.  NULL: before this was kept.
ALTER TABLE measurement ADD COLUMN added_by INTEGER REFERENCES person (id);

-- [policy] An Ed25519 key that signs registration files (PROTOCOL section 9).  images: as a
-- token's; last_serial: of the newest file that was taken, 0: none yet; last_file: SHA-256 of
-- that file, zeros where there is none; state: 1 active, 2 removed.
CREATE TABLE enrolled_key (
    id          INTEGER PRIMARY KEY,
    revision    INTEGER NOT NULL,
    person_id   INTEGER NOT NULL REFERENCES person (id),
    label       TEXT    NOT NULL,
    public_key  BLOB    NOT NULL UNIQUE CHECK (length(public_key) = 32),
    images      BLOB    NOT NULL,
    last_serial INTEGER NOT NULL,
    last_file   BLOB    NOT NULL CHECK (length(last_file) = 32),
    state       INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    mac         BLOB    NOT NULL
) STRICT;
