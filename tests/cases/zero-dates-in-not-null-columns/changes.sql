SET sql_mode = '';
INSERT INTO visits VALUES (4, '0000-00-00', '0000-00-00 00:00:00', 0, '0000-00-00', '0000-00-00 00:00:00', 0);
UPDATE visits SET born = '0000-00-00', closed = '2023-01-31 01:02:03.000004' WHERE id = 3;
UPDATE visits SET born = '2001-02-03', left_on = '2001-02-04' WHERE id = 1;
