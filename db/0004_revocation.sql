-- What an operator denies, whatever else is granted (PROTOCOL section 7).
--
-- [policy] kind: 1 a certificate, by its issuer (the DER of the Name) and serial (the content of
-- the INTEGER, as in DER); 2 an EC2 instance, by its id. state: 1 active, 2 removed;
-- person_id, reason, created_ms: of the last time that it was added.
CREATE TABLE revocation (
    id         INTEGER PRIMARY KEY,
    revision   INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    issuer     BLOB,
    serial     BLOB,
    instance   TEXT,
    reason     TEXT    NOT NULL,
    state      INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    person_id  INTEGER NOT NULL REFERENCES person (id),
    mac        BLOB    NOT NULL,
    UNIQUE (issuer, serial),
    UNIQUE (instance),
    CHECK ((kind = 1) = (issuer IS NOT NULL)),
    CHECK ((kind = 1) = (serial IS NOT NULL)),
    CHECK ((kind = 2) = (instance IS NOT NULL))
) STRICT;
