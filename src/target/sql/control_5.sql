-- Version 5 of the control tables: foreign keys that the source itself does not hold to.

CREATE TABLE sirenia.dropped_key (
    pipeline text NOT NULL,
    target_schema text NOT NULL,
    target_table text NOT NULL,
    name text NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline, target_schema, target_table, name)
);
COMMENT ON TABLE sirenia.dropped_key IS 'Foreign keys of the target that were dropped while following, since rows of the source broke them; `sirenia schema status` lists those that are still missing.';
