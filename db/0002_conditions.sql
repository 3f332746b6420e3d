-- Schema 2: drafts that were taken back, and two more conditions of a grant.

-- measurement.state 5: discarded, final: a draft that was taken back.  It matches nothing and
-- denies nothing; its name stays used, its values are free for another.
DROP INDEX measurement_values;
CREATE UNIQUE INDEX measurement_values ON measurement (kind, debug, root, pcrs) WHERE state <> 5;

-- registered: 1 where a signer grant demands a measurement that counts as well, of
-- registered_image_id or, where that is null, of any image; accepted: CBOR map index -> array
-- of the values that the PCR may have.
ALTER TABLE secret_grant ADD COLUMN registered INTEGER;
ALTER TABLE secret_grant ADD COLUMN registered_image_id INTEGER REFERENCES image (id);
ALTER TABLE secret_grant ADD COLUMN accepted BLOB;
