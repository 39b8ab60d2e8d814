INSERT INTO t (id, a, b) VALUES (1000 + ?, 1, 'w');
UPDATE t SET a = a + 1 WHERE id % 5 = ? % 5;
