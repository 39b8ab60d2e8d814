ALTER TABLE t ADD s SET('a','b','c') DEFAULT 'a,c';
ALTER TABLE t MODIFY s SET('c','a','b');
