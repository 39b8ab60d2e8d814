UPDATE t SET a = a + 1 WHERE id % 5 = ? % 5;
INSERT INTO t (id, b) VALUES (1000 + ?, '7');
DELETE FROM t WHERE id = 990 + ?;
