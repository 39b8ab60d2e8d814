-- live systems keep 2 and -1 in what was declared as a boolean
CREATE TABLE flags (id INT PRIMARY KEY, active TINYINT(1) NOT NULL DEFAULT 0, state TINYINT(1), level TINYINT(1) UNSIGNED);
INSERT INTO flags VALUES (1, 0, NULL, 0), (2, 1, -1, 1), (3, 2, 127, 255);
