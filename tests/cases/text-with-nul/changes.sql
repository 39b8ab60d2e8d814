INSERT INTO messages VALUES (4, 'a\0b', '\0', X'610062');
UPDATE messages SET body = 'tail\0', raw = X'000000' WHERE id = 3;
