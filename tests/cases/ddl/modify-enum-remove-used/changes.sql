SET SESSION sql_mode = '';
ALTER TABLE t ADD e ENUM('a','b','c') DEFAULT 'b';
UPDATE t SET e = 'a' WHERE id < 9;
ALTER TABLE t MODIFY e ENUM('b','c');
