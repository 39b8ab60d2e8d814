RENAME TABLE t TO x, u TO t, x TO u;
INSERT INTO t (id, n) VALUES (50, 'dulu u');
UPDATE u SET b = 'dulu t' WHERE id = 3;
