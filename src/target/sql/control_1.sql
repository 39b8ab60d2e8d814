-- Version 1 of the control tables. Each version is a step from the one before; a released step is never edited.

CREATE TABLE sirenia.meta (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version integer NOT NULL
);
COMMENT ON TABLE sirenia.meta IS 'Version of these control tables; sirenia upgrades them itself and refuses newer ones.';

CREATE TABLE sirenia.lease (
    pipeline text PRIMARY KEY,
    holder text NOT NULL,
    epoch bigint NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE sirenia.lease IS 'Which instance writes for a pipeline. One writer: every writing transaction locks this row FOR KEY SHARE at its epoch.';
COMMENT ON COLUMN sirenia.lease.holder IS 'Who holds it, for people; empty before the first.';
COMMENT ON COLUMN sirenia.lease.epoch IS 'Raised at each takeover; a transaction with an older one cannot commit.';
COMMENT ON COLUMN sirenia.lease.expires_at IS 'By this server''s clock; after it a standby takes over. Renewed without touching a key column, so that renewal never waits for a writer.';

CREATE TABLE sirenia.checkpoint (
    pipeline text PRIMARY KEY,
    position jsonb NOT NULL,
    source_identity jsonb NOT NULL,
    phase text NOT NULL CHECK (phase IN ('snapshot', 'catch_up', 'index', 'follow')),
    catch_up_until jsonb,
    epoch bigint NOT NULL,
    schema_version bigint NOT NULL,
    committed_at timestamptz,
    applied_at timestamptz NOT NULL,
    transactions bigint NOT NULL DEFAULT 0,
    changes bigint NOT NULL DEFAULT 0,
    "rows" bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE sirenia.checkpoint IS 'How far the source is in this database. Moves in the same transaction as the rows, which makes each change count once.';
COMMENT ON COLUMN sirenia.checkpoint.position IS 'Right behind the last source transaction that is here: where a restart continues.';
COMMENT ON COLUMN sirenia.checkpoint.source_identity IS 'The server and log that the position belongs to; a restart compares it before reading.';
COMMENT ON COLUMN sirenia.checkpoint.phase IS 'snapshot: copying tables; catch_up: applying what was logged meanwhile, repeats allowed; index: building indexes; follow: steady state.';
COMMENT ON COLUMN sirenia.checkpoint.catch_up_until IS 'The source''s log position after the last copied chunk; from there on the target is consistent.';
COMMENT ON COLUMN sirenia.checkpoint.epoch IS 'Epoch of the lease under which this row was written last.';
COMMENT ON COLUMN sirenia.checkpoint.schema_version IS 'Row of schema_version that events behind the position are decoded with.';
COMMENT ON COLUMN sirenia.checkpoint.committed_at IS 'When the source committed its last transaction that is here, by the source''s clock.';
COMMENT ON COLUMN sirenia.checkpoint.applied_at IS 'When that transaction was applied, by this server''s clock.';
COMMENT ON COLUMN sirenia.checkpoint.transactions IS 'Source transactions applied since the pipeline began.';
COMMENT ON COLUMN sirenia.checkpoint.changes IS 'Row changes read from the source''s log since the pipeline began.';
COMMENT ON COLUMN sirenia.checkpoint."rows" IS 'Rows written here for them, fewer where changes of one row were merged.';

CREATE TABLE sirenia.table_state (
    pipeline text NOT NULL,
    source_database text NOT NULL,
    source_table text NOT NULL,
    target_schema text NOT NULL,
    target_table text NOT NULL,
    state text NOT NULL CHECK (state IN ('pending', 'copying', 'copied', 'ready')),
    adopted boolean NOT NULL DEFAULT false,
    exact_position jsonb,
    copy_group integer,
    shape text NOT NULL,
    rows_copied bigint NOT NULL DEFAULT 0,
    error text,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline, source_database, source_table),
    UNIQUE (target_schema, target_table)
);
COMMENT ON TABLE sirenia.table_state IS 'The tables a pipeline fills, and how far each one''s copy is. What stands here is ours; a table that does not is never written to.';
COMMENT ON COLUMN sirenia.table_state.state IS 'pending: not begun; copying; copied: rows are here, indexes are not; ready.';
COMMENT ON COLUMN sirenia.table_state.adopted IS 'It was here, empty, before us: a reset empties it instead of dropping it.';
COMMENT ON COLUMN sirenia.table_state.exact_position IS 'Copied as of exactly this position (tables without a key): earlier transactions are skipped for it.';
COMMENT ON COLUMN sirenia.table_state.copy_group IS 'Tables with the same number are read in one snapshot of the source.';
COMMENT ON COLUMN sirenia.table_state.shape IS 'Target columns, types and row filter when the copy began; the pipeline refuses to go on with others.';
COMMENT ON COLUMN sirenia.table_state.rows_copied IS 'Rows of the finished copy; until then snapshot_progress counts them.';
COMMENT ON COLUMN sirenia.table_state.error IS 'Why the table is not copied further, without values.';
COMMENT ON COLUMN sirenia.table_state.changed_at IS 'When this row last changed.';

CREATE TABLE sirenia.snapshot_progress (
    pipeline text NOT NULL,
    source_database text NOT NULL,
    source_table text NOT NULL,
    range_no integer NOT NULL,
    last_key bytea,
    until_key bytea,
    rows_copied bigint NOT NULL DEFAULT 0,
    done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (pipeline, source_database, source_table, range_no)
) WITH (fillfactor = 50);
COMMENT ON TABLE sirenia.snapshot_progress IS 'How far the copy of a table''s range of keys is. Moves in the transaction of the chunk''s rows, so that an interrupted copy continues.';
COMMENT ON COLUMN sirenia.snapshot_progress.range_no IS 'Ranges of one table are copied side by side; 0 when there is one.';
COMMENT ON COLUMN sirenia.snapshot_progress.last_key IS 'Key of the last copied row, encoded by the snapshot reader; the next chunk starts behind it. NULL: nothing copied.';
COMMENT ON COLUMN sirenia.snapshot_progress.until_key IS 'The range''s last key, inclusive; NULL: to the end of the table.';
COMMENT ON COLUMN sirenia.snapshot_progress.rows_copied IS 'Rows copied so far.';

CREATE TABLE sirenia.schema_version (
    pipeline text NOT NULL,
    version bigint NOT NULL,
    position jsonb NOT NULL,
    catalog bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (pipeline, version)
);
COMMENT ON TABLE sirenia.schema_version IS 'The source''s tables as they were from a position on: the log''s events do not describe themselves well enough.';
COMMENT ON COLUMN sirenia.schema_version.position IS 'From here on the source had this schema.';
COMMENT ON COLUMN sirenia.schema_version.catalog IS 'Tables, columns, keys and foreign keys, as MessagePack with field names.';

CREATE FUNCTION sirenia.fence(p_pipeline text, p_epoch bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- A takeover locks the row FOR UPDATE: it waits for transactions that passed here, and those that come later wait
    -- for it and then see its epoch. Needs READ COMMITTED.
    PERFORM 1 FROM sirenia.lease AS l WHERE l.pipeline = p_pipeline AND l.epoch = p_epoch FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'sirenia: epoch % of pipeline "%" no longer holds the lease', p_epoch, p_pipeline
            USING ERRCODE = 'SR001';
    END IF;
END
$$;
COMMENT ON FUNCTION sirenia.fence(text, bigint) IS 'Called first in every writing transaction: raises SR001 when another instance has taken over, and keeps it from taking over until the transaction ends.';

CREATE FUNCTION sirenia.advance(
    p_pipeline text, p_epoch bigint, p_expected jsonb, p_next jsonb, p_committed_at timestamptz,
    p_transactions bigint, p_changes bigint, p_rows bigint
) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM sirenia.fence(p_pipeline, p_epoch);
    UPDATE sirenia.checkpoint AS c
       SET position = p_next,
           epoch = p_epoch,
           committed_at = coalesce(p_committed_at, c.committed_at),
           applied_at = clock_timestamp(),
           transactions = c.transactions + p_transactions,
           changes = c.changes + p_changes,
           "rows" = c."rows" + p_rows
     WHERE c.pipeline = p_pipeline AND c.position = p_expected;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'sirenia: the checkpoint of pipeline "%" is not where its writer expects it', p_pipeline
            USING ERRCODE = 'SR002';
    END IF;
END
$$;
COMMENT ON FUNCTION sirenia.advance(text, bigint, jsonb, jsonb, timestamptz, bigint, bigint, bigint) IS 'Fences, then moves the checkpoint from the expected position to the next; raises SR002 when it stands elsewhere, so that no batch is applied twice.';
