ALTER /* satu */ TABLE t -- dua
 ADD COLUMN # tiga
 n INT /* , DROP COLUMN b */ DEFAULT 8;
