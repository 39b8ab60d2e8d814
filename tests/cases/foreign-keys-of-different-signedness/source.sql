-- made by dumps that were read with foreign_key_checks = 0, the child first
SET foreign_key_checks = 0;
CREATE TABLE samples (id BIGINT UNSIGNED PRIMARY KEY, result_id INT UNSIGNED, CONSTRAINT of_result FOREIGN KEY (result_id) REFERENCES results (id));
CREATE TABLE results (id INT PRIMARY KEY, note VARCHAR(50));
INSERT INTO results VALUES (1, 'one'), (2, 'two');
INSERT INTO samples VALUES (1, 1), (9223372036854775807, 4294967295);
