UPDATE u SET n = ?;
INSERT INTO u (id) VALUES (1000 + ?);
