INSERT INTO t (nomor, a) VALUES (1000 + ?, 1);
INSERT INTO t (id, a) VALUES (1000 + ?, 1);
UPDATE t SET a = a + 1 WHERE a < 5;
DELETE FROM t WHERE nomor = 995 + ?;
