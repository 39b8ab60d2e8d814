-- Run once by the MariaDB container: what sirenia needs on the source, and a table to try it on.

CREATE USER 'sirenia'@'%' IDENTIFIED BY 'demo';
-- the first copy; LOCK TABLES only for tables of engines without transactions
GRANT SELECT, SHOW VIEW, LOCK TABLES ON lab.* TO 'sirenia'@'%';
-- the change stream, and where it stands
GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO 'sirenia'@'%';

USE lab;
CREATE TABLE samples (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  barcode varchar(32) NOT NULL UNIQUE,
  status enum('received','measured','reported') NOT NULL DEFAULT 'received',
  taken_at datetime(3) NULL,
  result decimal(12,4) NULL,
  created_at timestamp NOT NULL DEFAULT current_timestamp()
) ENGINE=InnoDB;
INSERT INTO samples (barcode, status, taken_at, result) VALUES
  ('S-0001', 'measured', '2024-05-01 08:30:00.250', 12.5000),
  ('S-0002', 'received', NULL, NULL);
