SET sql_mode = '';
INSERT INTO referrals VALUES (4, 'rujukan dari puskesmas ke rumah sakit tipe B dengan surat pengantar dokter umum dan hasil laboratori', 'a,b'), (5, 'langsung', 'no such label');
UPDATE referrals SET kind = 3 WHERE id = 1;
