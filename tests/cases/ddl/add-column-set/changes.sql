ALTER TABLE t ADD COLUMN s SET('a','b','c') DEFAULT 'a,c';
