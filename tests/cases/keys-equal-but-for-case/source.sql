-- keys that the source's collation holds for equal; and one whose collation tells case apart
CREATE TABLE wards (code VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, name VARCHAR(50));
CREATE TABLE beds (id INT PRIMARY KEY, ward VARCHAR(20) COLLATE utf8mb4_general_ci,
  FOREIGN KEY (ward) REFERENCES wards (code));
CREATE TABLE tokens (id INT PRIMARY KEY, token VARCHAR(20) COLLATE utf8mb4_bin NOT NULL, UNIQUE KEY token (token));
INSERT INTO wards VALUES ('abc', 'first'), ('Def', 'second'), ('ghi', 'third'), ('jkl ', 'with a space');
INSERT INTO beds VALUES (1, 'ABC'), (2, 'abc'), (3, 'DEF'), (4, NULL);
INSERT INTO tokens VALUES (1, 'a'), (2, 'A'), (3, 'á');
