ALTER TABLE t ADD s SET('a','b') DEFAULT 'a';
ALTER TABLE t MODIFY s SET('a','b','c');
UPDATE t SET s = 'a,c' WHERE id % 2;
