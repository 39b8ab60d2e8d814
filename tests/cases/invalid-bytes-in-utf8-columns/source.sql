-- MariaDB takes halves of surrogate pairs, as old versions and half-converted dumps have left them
SET sql_mode = '';
CREATE TABLE texts (id INT PRIMARY KEY, three VARCHAR(20) CHARACTER SET utf8mb3, four TEXT CHARACTER SET utf8mb4 NOT NULL, two VARCHAR(20) CHARACTER SET ucs2);
INSERT INTO texts VALUES (1, X'41EDA08042', X'EDBFBF', X'0041D8000042'), (2, X'C3A9', X'F09F9880', X'00E9');
