-- Version 3 of the control tables: rows that cannot be applied.

CREATE TABLE sirenia.quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    source_database text NOT NULL,
    source_table text NOT NULL,
    key bytea NOT NULL,
    key_text text,
    operation text NOT NULL CHECK (operation IN ('put', 'remove')),
    code text,
    error text NOT NULL,
    position text NOT NULL,
    image bytea,
    attempts integer NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retry_requested_at timestamptz
);
-- by its hash, since a key may be longer than an index takes
CREATE UNIQUE INDEX quarantine_key ON sirenia.quarantine (pipeline, source_database, source_table, sha256(key));
CREATE INDEX quarantine_retry ON sirenia.quarantine (pipeline) WHERE retry_requested_at IS NOT NULL;
COMMENT ON TABLE sirenia.quarantine IS 'Rows as the source has them that could not be applied here, the newest version of each key. A later change of the key that can be applied takes its row away; `sirenia quarantine retry` tries again.';
COMMENT ON COLUMN sirenia.quarantine.key IS 'The target''s key fields in binary; a key that cannot be converted: 0xFE and the source''s values as MessagePack.';
COMMENT ON COLUMN sirenia.quarantine.key_text IS 'The key for people, as JSON.';
COMMENT ON COLUMN sirenia.quarantine.operation IS 'put: the row is to be as its image says; remove: it is to be gone.';
COMMENT ON COLUMN sirenia.quarantine.code IS 'SQLSTATE, or the reason why a value does not fit.';
COMMENT ON COLUMN sirenia.quarantine.error IS 'Why it could not be applied, without values.';
COMMENT ON COLUMN sirenia.quarantine.position IS 'Up to where the log was applied before it, or ''snapshot''.';
COMMENT ON COLUMN sirenia.quarantine.image IS 'The row, as versioned MessagePack with column names.';
COMMENT ON COLUMN sirenia.quarantine.retry_requested_at IS 'Set by `sirenia quarantine retry`; the running instance tries the row and clears it.';
