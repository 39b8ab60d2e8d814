-- MySQL's index names are a table's own; PostgreSQL has one name space for tables and indexes
CREATE TABLE pasien (id INT PRIMARY KEY, nik VARCHAR(20), nama VARCHAR(50), UNIQUE KEY hasil (nik), KEY idx (nama));
CREATE TABLE hasil (id INT PRIMARY KEY, pasien INT, nama VARCHAR(50), KEY pasien (pasien), KEY idx (nama));
CREATE TABLE sampel (id INT PRIMARY KEY, nama VARCHAR(50), kode INT, KEY idx (nama), KEY pasien_idx (kode));
CREATE TABLE pasien_idx (id INT PRIMARY KEY, nama VARCHAR(50), KEY idx (nama));
INSERT INTO pasien VALUES (1, 'a', 'x'), (2, 'b', 'y');
INSERT INTO hasil VALUES (1, 1, 'x');
INSERT INTO sampel VALUES (1, 'x', 5);
INSERT INTO pasien_idx VALUES (1, 'x');
