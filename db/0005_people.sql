-- Persons beyond the first, and pipelines.

-- CBOR array of image names, ascending, each once: the only images whose builds the token may
-- draft.  NULL: all, and whatever its rights allow.
ALTER TABLE token ADD COLUMN images BLOB;

-- Who registered the build.  NULL: before this was kept.
ALTER TABLE measurement ADD COLUMN added_by INTEGER REFERENCES person (id);
