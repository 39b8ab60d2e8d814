ALTER TABLE t ADD e ENUM('aktif','mati') DEFAULT 'aktif';
ALTER TABLE t MODIFY e VARCHAR(10);
UPDATE t SET e = 'lain' WHERE id = 1;
