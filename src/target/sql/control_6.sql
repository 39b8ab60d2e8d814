-- Version 6 of the control tables: the cutover, behind which nothing is written any more.

ALTER TABLE sirenia.checkpoint ADD COLUMN cutover text CHECK (cutover IN ('begun', 'done'));
COMMENT ON COLUMN sirenia.checkpoint.cutover IS 'begun: `sirenia cutover` is changing foreign keys and triggers, or was ended while it did; done: the application writes here. In both cases no instance may follow the source.';
