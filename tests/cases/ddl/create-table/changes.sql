CREATE TABLE baru (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, nama VARCHAR(255) COLLATE utf8mb4_unicode_ci NOT NULL, email VARCHAR(255) NULL, created_at TIMESTAMP NULL, UNIQUE baru_email_unique (email)) DEFAULT CHARACTER SET utf8mb4 COLLATE 'utf8mb4_unicode_ci';
INSERT INTO baru (nama, email) VALUES ('Siti', 's@x'), ('Budi', NULL);
UPDATE baru SET nama = 'Sitti' WHERE id = 1;
