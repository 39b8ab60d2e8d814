CREATE TABLE skp_tahunan (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, t_id INT NOT NULL, tahun YEAR NOT NULL, status ENUM('draft','final') NOT NULL DEFAULT 'draft', created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL) DEFAULT CHARACTER SET utf8mb4 COLLATE 'utf8mb4_unicode_ci';
ALTER TABLE skp_tahunan ADD INDEX skp_tahunan_t_id_tahun_index(t_id, tahun);
ALTER TABLE skp_tahunan ADD CONSTRAINT fk_skp_tahunan_user FOREIGN KEY (t_id) REFERENCES t (id) ON DELETE CASCADE;
INSERT INTO skp_tahunan (t_id, tahun) VALUES (3, 2024), (4, 2025);
ALTER TABLE skp_tahunan ADD catatan TEXT NULL AFTER status;
ALTER TABLE skp_tahunan CHANGE status status ENUM('draft','final','batal') NOT NULL DEFAULT 'draft';
UPDATE skp_tahunan SET status = 'batal' WHERE tahun = 2025;
