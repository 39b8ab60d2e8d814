UPDATE pasien SET nik = 'c' WHERE id = 1;
UPDATE pasien SET nik = 'a' WHERE id = 2;
INSERT INTO pasien_idx VALUES (2, 'y');
