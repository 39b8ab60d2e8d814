INSERT INTO t (id, a) VALUES (1000 + ?, 1);
UPDATE t SET a = a + 1 WHERE id % 5 = ? % 5;
DELETE FROM t WHERE id = 990 + ?;
