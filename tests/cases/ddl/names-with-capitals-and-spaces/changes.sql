CREATE TABLE `Data Pasien` (`Id` INT PRIMARY KEY, `Nama Lengkap` VARCHAR(9));
INSERT INTO `Data Pasien` VALUES (1, 'Siti');
ALTER TABLE `Data Pasien` ADD COLUMN `Tgl Lahir` DATE AFTER `Id`;
RENAME TABLE `Data Pasien` TO `data-pasien`;
