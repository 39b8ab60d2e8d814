ALTER TABLE t ADD e ENUM('a','b') DEFAULT 'a';
ALTER TABLE t MODIFY e ENUM('a','b','c') DEFAULT 'a';
UPDATE t SET e = 'c' WHERE id % 2;
