INSERT INTO `order` VALUES (2, 'x', 20, 'y', 30);
UPDATE `order` SET `select` = 10, `Group By` = 'z' WHERE `select` = 1;
DELETE FROM `Data Pasien` WHERE `No. RM` = 1;
INSERT INTO `Data Pasien` VALUES (3, 'Siti');
UPDATE `user` SET `offset` = 4;
