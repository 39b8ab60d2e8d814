CREATE TABLE `order` (`select` INT PRIMARY KEY, `from` VARCHAR(10), `User` INT, `Group By` TEXT, `ünï "q" ``b``` INT, KEY `where` (`from`));
CREATE TABLE `Data Pasien` (`No. RM` INT PRIMARY KEY, `Nama Lengkap` VARCHAR(50), UNIQUE KEY `UNIQUE` (`Nama Lengkap`));
CREATE TABLE `user` (`id` INT PRIMARY KEY, `end` DATE, `table` INT, `offset` INT);
INSERT INTO `order` VALUES (1, 'a', 2, 'b', 3);
INSERT INTO `Data Pasien` VALUES (1, 'Siti'), (2, 'siti nur');
INSERT INTO `user` VALUES (1, '2023-01-31', 2, 3);
