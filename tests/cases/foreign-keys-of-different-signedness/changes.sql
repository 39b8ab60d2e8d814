SET foreign_key_checks = 0;
INSERT INTO results VALUES (-1, 'below');
INSERT INTO samples VALUES (3, 3000000000);
DELETE FROM samples WHERE id = 1;
