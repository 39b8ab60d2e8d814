ALTER TABLE t ADD COLUMN jenis ENUM('laki-laki','perempuan') NOT NULL DEFAULT 'perempuan';
