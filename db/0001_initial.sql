-- Schema 1.  Forward-only: a change is a new file, never an edit of an old one.
--
-- Tables marked [policy] decide releases.  Their columns between `revision` and `mac`
-- are what the MAC covers, in this order, as a deterministic CBOR array (PROTOCOL
-- section 7): INTEGER unsigned, TEXT text, BLOB byte string, NULL null.  Times are Unix
-- milliseconds.
--
-- A later migration only appends columns to a [policy] table, nullable and without a default
-- (ALTER TABLE puts them behind `mac`; the array simply goes on), marked `later` in
-- store_sqlite_policy.c and policy/rows.c.  A later column that is NULL, with nothing but
-- such behind it, is left out of the array: rows written before keep their array and their
-- MAC, and a row has one encoding only.

-- What this store is: one row.
CREATE TABLE store (
    one              INTEGER PRIMARY KEY CHECK (one = 1),
    store_id         BLOB    NOT NULL CHECK (length(store_id) = 16),
    generation       INTEGER NOT NULL CHECK (generation >= 1),
    key_check        BLOB    NOT NULL CHECK (length(key_check) = 32),
    challenge_epoch  INTEGER NOT NULL,
    purged_before_ms INTEGER NOT NULL,
    created_ms       INTEGER NOT NULL
) STRICT;

CREATE TABLE policy_head (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    revision  INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    digest    BLOB    NOT NULL CHECK (length(digest) = 32),
    mac       BLOB    NOT NULL CHECK (length(mac) = 32)
) STRICT;

-- [policy] Names: kind ("production", "development"), root (PEM, development only).
CREATE TABLE setting (
    id       INTEGER PRIMARY KEY,
    revision INTEGER NOT NULL,
    name     TEXT    NOT NULL UNIQUE,
    value    TEXT    NOT NULL,
    mac      BLOB    NOT NULL
) STRICT;

-- [policy] state: 1 active, 2 removed.
CREATE TABLE person (
    id         INTEGER PRIMARY KEY,
    revision   INTEGER NOT NULL,
    name       TEXT    NOT NULL UNIQUE,
    state      INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    mac        BLOB    NOT NULL
) STRICT;

-- [policy] hash: SHA-256 of the token; rights: bits; state: 1 active, 2 revoked.
CREATE TABLE token (
    id         INTEGER PRIMARY KEY,
    revision   INTEGER NOT NULL,
    person_id  INTEGER NOT NULL REFERENCES person (id),
    label      TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    rights     INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    mac        BLOB    NOT NULL
) STRICT;

-- [policy]
CREATE TABLE image (
    id         INTEGER PRIMARY KEY,
    revision   INTEGER NOT NULL,
    name       TEXT    NOT NULL UNIQUE,
    created_ms INTEGER NOT NULL,
    mac        BLOB    NOT NULL
) STRICT;

-- [policy] kind: 0 enclave, 1 nitrotpm; debug: 0/1; pcrs: CBOR map index -> 48 bytes;
-- state: 1 draft, 2 active, 3 deprecated, 4 revoked; labels: CBOR map text -> text;
-- root: SHA-256 of the root's DER that documents must chain to.
CREATE TABLE measurement (
    id            INTEGER PRIMARY KEY,
    revision      INTEGER NOT NULL,
    image_id      INTEGER NOT NULL REFERENCES image (id),
    version       TEXT    NOT NULL,
    kind          INTEGER NOT NULL,
    debug         INTEGER NOT NULL,
    pcrs          BLOB    NOT NULL,
    root          BLOB    NOT NULL CHECK (length(root) = 32),
    state         INTEGER NOT NULL,
    not_before_ms INTEGER,
    not_after_ms  INTEGER,
    labels        BLOB    NOT NULL,
    provenance    TEXT    NOT NULL,
    created_ms    INTEGER NOT NULL,
    mac           BLOB    NOT NULL,
    UNIQUE (image_id, version)
) STRICT;
CREATE UNIQUE INDEX measurement_values ON measurement (kind, debug, root, pcrs);

-- [policy] current_version 0: none yet; state: 1 active, 2 destroyed.
CREATE TABLE secret (
    id              INTEGER PRIMARY KEY,
    revision        INTEGER NOT NULL,
    name            TEXT    NOT NULL UNIQUE,
    current_version INTEGER NOT NULL,
    state           INTEGER NOT NULL,
    created_ms      INTEGER NOT NULL,
    mac             BLOB    NOT NULL
) STRICT;

-- [policy] size: of the plaintext in bytes; state: 1 usable, 2 destroyed.
CREATE TABLE secret_version (
    id         INTEGER PRIMARY KEY,
    revision   INTEGER NOT NULL,
    secret_id  INTEGER NOT NULL REFERENCES secret (id),
    version    INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    UNIQUE (secret_id, version)
) STRICT;

-- [policy] One secret to one image (signer grants: image_id NULL, signer and boot set).
-- measurement_id: narrowed to one build; pcr3, pcr4: required values; region; application:
-- required user_data bytes; versions: CBOR array of older versions that are allowed;
-- quota: distinct module_ids; state: 1 active, 2 removed.
CREATE TABLE secret_grant (
    id             INTEGER PRIMARY KEY,
    revision       INTEGER NOT NULL,
    secret_id      INTEGER NOT NULL REFERENCES secret (id),
    image_id       INTEGER REFERENCES image (id),
    measurement_id INTEGER REFERENCES measurement (id),
    pcr8           BLOB,
    pcr1           BLOB,
    pcr3           BLOB,
    pcr4           BLOB,
    region         TEXT,
    application    BLOB,
    versions       BLOB    NOT NULL,
    quota          INTEGER,
    not_before_ms  INTEGER,
    not_after_ms   INTEGER,
    state          INTEGER NOT NULL,
    created_ms     INTEGER NOT NULL,
    mac            BLOB    NOT NULL,
    CHECK ((image_id IS NULL) = (pcr8 IS NOT NULL AND pcr1 IS NOT NULL))
) STRICT;

-- [policy] kind: 1 receipt, 2 sealing, 3 issuer (public only), 4 a receipt key's past
-- delegation; delegation: the COSE message for a receipt key; state: 1 current, 2 retired.
CREATE TABLE own_key (
    id         INTEGER PRIMARY KEY,
    revision   INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    spki       BLOB    NOT NULL,
    sealed     BLOB,
    delegation BLOB,
    state      INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    mac        BLOB    NOT NULL,
    UNIQUE (kind, version)
) STRICT;

-- Sealed values bind themselves to their secret and version (AAD): no MAC needed.
CREATE TABLE sealed_value (
    secret_id INTEGER NOT NULL REFERENCES secret (id),
    version   INTEGER NOT NULL,
    sealed    BLOB    NOT NULL,
    PRIMARY KEY (secret_id, version)
) STRICT, WITHOUT ROWID;

-- Challenges that were redeemed and have not yet expired.
CREATE TABLE redeemed (
    challenge BLOB    NOT NULL PRIMARY KEY CHECK (length(challenge) = 56),
    expiry_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX redeemed_expiry ON redeemed (expiry_ms);

-- Which enclaves used up a grant's quota.
CREATE TABLE quota_use (
    grant_id  INTEGER NOT NULL REFERENCES secret_grant (id),
    module_id TEXT    NOT NULL,
    first_ms  INTEGER NOT NULL,
    PRIMARY KEY (grant_id, module_id)
) STRICT, WITHOUT ROWID;

-- The hash chain (PROTOCOL section 8).
CREATE TABLE audit (
    sequence   INTEGER PRIMARY KEY,
    time_ms    INTEGER NOT NULL,
    request_id TEXT    NOT NULL,
    event      TEXT    NOT NULL,
    record     BLOB    NOT NULL,
    hash       BLOB    NOT NULL CHECK (length(hash) = 48)
) STRICT;
CREATE INDEX audit_request ON audit (request_id);

-- The end of the chain under the server's MAC, written with every record: a log cut short
-- or rewritten from outside does not carry it.
CREATE TABLE audit_head (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    hash     BLOB    NOT NULL CHECK (length(hash) = 48),
    mac      BLOB    NOT NULL CHECK (length(mac) = 32)
) STRICT;

CREATE TABLE checkpoint (
    sequence INTEGER NOT NULL PRIMARY KEY,
    message  BLOB    NOT NULL
) STRICT;
