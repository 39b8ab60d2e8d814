ALTER TABLE t ADD e ENUM('a','b','c') DEFAULT 'b';
ALTER TABLE t MODIFY e ENUM('b','c');
