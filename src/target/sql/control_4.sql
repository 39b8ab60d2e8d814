-- Version 4 of the control tables: DDL in the stream, and tables that are paused or copied anew.

ALTER TABLE sirenia.table_state
    DROP CONSTRAINT table_state_state_check,
    ADD CONSTRAINT table_state_state_check CHECK (state IN ('pending', 'copying', 'copied', 'ready', 'paused')),
    ADD COLUMN requested text CHECK (requested IN ('pause', 'resync'));
COMMENT ON COLUMN sirenia.table_state.state IS 'pending: to be copied, changes are left out until then; copying; copied: rows are here, indexes are not; ready; paused: changes are left out until `sirenia tables resume` has it copied anew.';
COMMENT ON COLUMN sirenia.table_state.requested IS 'Set by `sirenia tables`; the running instance does it and clears it.';

ALTER TABLE sirenia.schema_version
    ADD COLUMN statement text,
    ADD COLUMN inside boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN sirenia.schema_version.statement IS 'The beginning of the DDL statement that led to it, without literals; NULL for the first and for tables that were left out.';
COMMENT ON COLUMN sirenia.schema_version.inside IS 'Whether the statement stands inside a transaction (CREATE TABLE ... SELECT), whose rows are still to come at the position.';
