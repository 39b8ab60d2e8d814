CREATE TABLE _t_gho LIKE t;
ALTER TABLE _t_gho ADD COLUMN n INT NOT NULL DEFAULT 7, MODIFY a BIGINT;
INSERT INTO _t_gho (id, a, b, c) SELECT id, a, b, c FROM t ORDER BY id;
RENAME TABLE t TO _t_del, _t_gho TO t;
UPDATE t SET n = 8 WHERE id = 4;
DROP TABLE _t_del;
