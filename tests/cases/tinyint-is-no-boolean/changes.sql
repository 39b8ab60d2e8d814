INSERT INTO flags VALUES (4, -1, 2, 128);
UPDATE flags SET active = 127, state = -128 WHERE id = 1;
