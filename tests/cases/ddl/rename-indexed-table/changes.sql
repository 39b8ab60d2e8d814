RENAME TABLE t TO tabel;
UPDATE tabel SET a = 5 WHERE id = 5;
