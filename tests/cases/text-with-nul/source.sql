CREATE TABLE messages (id INT PRIMARY KEY, title VARCHAR(50) NOT NULL, body TEXT, raw BLOB);
INSERT INTO messages VALUES (1, 'a\0b', '\0', X'610062'), (2, '\0\0', 'x\0\0', X'00'), (3, 'plain', NULL, NULL);
