UPDATE wards SET code = 'GHI' WHERE code = 'ghi';
UPDATE wards SET name = 'renamed' WHERE code = 'ABC';
DELETE FROM wards WHERE code = 'JKL';
INSERT INTO wards VALUES ('jkl', 'again');
INSERT INTO beds VALUES (5, 'dEf');
UPDATE tokens SET token = 'b' WHERE id = 1;
UPDATE tokens SET token = 'a' WHERE id = 2;
INSERT INTO tokens VALUES (4, 'A');
