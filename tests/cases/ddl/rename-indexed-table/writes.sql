INSERT INTO t (id, a) VALUES (1000 + ?, 1);
INSERT INTO tabel (id, a) VALUES (1000 + ?, 1);
UPDATE tabel SET a = a + 1 WHERE id % 5 = ? % 5;
