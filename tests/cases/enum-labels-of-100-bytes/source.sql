-- PostgreSQL's own enum labels end at 63 bytes
CREATE TABLE referrals (id INT PRIMARY KEY, kind ENUM('langsung', 'rujukan dari puskesmas ke rumah sakit tipe B dengan surat pengantar dokter umum dan hasil laboratori', 'é–') NOT NULL, note ENUM('', 'it''s', 'a,b'));
INSERT INTO referrals VALUES (1, 'langsung', ''), (2, 'rujukan dari puskesmas ke rumah sakit tipe B dengan surat pengantar dokter umum dan hasil laboratori', 'it''s'), (3, 'é–', NULL);
