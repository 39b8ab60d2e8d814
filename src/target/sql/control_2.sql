-- Version 2 of the control tables: the record of values that were changed to fit.

CREATE TABLE sirenia.sanitized_count (
    pipeline text NOT NULL,
    source_database text NOT NULL,
    source_table text NOT NULL,
    column_name text NOT NULL,
    reason text NOT NULL,
    policy text NOT NULL,
    count bigint NOT NULL,
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline, source_database, source_table, column_name, reason, policy)
) WITH (fillfactor = 50);
COMMENT ON TABLE sirenia.sanitized_count IS 'How many values were changed to fit, all of them, by column, reason and policy. Moves in the transaction of the rows, so each is counted once; a row that is copied and then caught up with counts as often as it is written.';
COMMENT ON COLUMN sirenia.sanitized_count.column_name IS 'The source''s name.';
COMMENT ON COLUMN sirenia.sanitized_count.policy IS 'replace: something near stands for the value; null: NULL does.';

CREATE TABLE sirenia.sanitized (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    source_database text NOT NULL,
    source_table text NOT NULL,
    column_name text NOT NULL,
    reason text NOT NULL,
    policy text NOT NULL,
    key text,
    position text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON sirenia.sanitized (pipeline, source_database, source_table, column_name, reason, id);
COMMENT ON TABLE sirenia.sanitized IS 'The first thousand values of each column and reason that were changed to fit. Their keys, not the values; sanitized_count counts all.';
COMMENT ON COLUMN sirenia.sanitized.key IS 'The source''s key columns and their values, as JSON; NULL in a table without a key.';
COMMENT ON COLUMN sirenia.sanitized.position IS 'Where the source transaction starts in the log, or ''snapshot''.';
