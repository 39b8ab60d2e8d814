RENAME TABLE u TO unit;
UPDATE unit SET n = 'baru' WHERE id = 1;
