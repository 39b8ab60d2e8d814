SET SESSION sql_mode = '';
UPDATE t SET c = 'lebih dari enam' WHERE id % 4 = 0;
ALTER TABLE t MODIFY c VARCHAR(6);
