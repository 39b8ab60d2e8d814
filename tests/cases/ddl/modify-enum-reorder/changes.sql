ALTER TABLE t ADD e ENUM('a','b') DEFAULT 'b';
ALTER TABLE t MODIFY e ENUM('b','z','a');
UPDATE t SET e = 'z' WHERE id = 4;
