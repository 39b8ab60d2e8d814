-- The hand-written tables of the lab, in the order of their foreign keys, one blank line after each statement.
-- Valid on MariaDB 10.11 and MySQL 9.7. Their rows are described in core.rs.

CREATE TABLE `migrations` (
  `id` int unsigned NOT NULL AUTO_INCREMENT,
  `migration` varchar(255) NOT NULL,
  `batch` int NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `ruangan` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `kode` varchar(16) NOT NULL,
  `nama` varchar(100) NOT NULL,
  `lantai` tinyint NOT NULL DEFAULT 1 COMMENT 'lantai gedung, -1 = basement',
  `group` varchar(30) DEFAULT NULL COMMENT 'kelompok ruangan',
  `aktif` tinyint(1) NOT NULL DEFAULT 1,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `ruangan_kode_unique` (`kode`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Daftar ruangan dan poliklinik';

CREATE TABLE `users` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(255) NOT NULL,
  `email` varchar(255) NOT NULL,
  `email_verified_at` timestamp NULL DEFAULT NULL,
  `password` varchar(255) NOT NULL,
  `ruangan_id` bigint unsigned DEFAULT NULL,
  `aktif` tinyint(1) NOT NULL DEFAULT 1,
  `remember_token` varchar(100) DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  `deleted_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `users_email_unique` (`email`),
  KEY `users_ruangan_id_foreign` (`ruangan_id`),
  CONSTRAINT `users_ruangan_id_foreign` FOREIGN KEY (`ruangan_id`) REFERENCES `ruangan` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Pengguna sistem';

CREATE TABLE `roles` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(125) NOT NULL,
  `guard_name` varchar(125) NOT NULL DEFAULT 'web',
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `roles_name_guard_name_unique` (`name`,`guard_name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `model_has_roles` (
  `role_id` bigint unsigned NOT NULL,
  `model_type` varchar(125) NOT NULL,
  `model_id` bigint unsigned NOT NULL,
  PRIMARY KEY (`role_id`,`model_id`,`model_type`),
  KEY `model_has_roles_model_id_model_type_index` (`model_id`,`model_type`),
  CONSTRAINT `model_has_roles_role_id_foreign` FOREIGN KEY (`role_id`) REFERENCES `roles` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `dokter` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `user_id` bigint unsigned DEFAULT NULL,
  `sip` varchar(40) NOT NULL COMMENT 'Surat Izin Praktik',
  `nama` varchar(150) NOT NULL,
  `spesialisasi` enum('umum','patologi klinik','penyakit dalam','anak','kandungan','bedah') NOT NULL DEFAULT 'umum',
  `tarif` decimal(12,2) NOT NULL DEFAULT 0.00,
  `mulai_praktik` time DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  `deleted_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `dokter_sip_unique` (`sip`),
  CONSTRAINT `dokter_user_id_foreign` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Dokter pengirim dan penanggung jawab';

CREATE TABLE `pasien` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `no_rm` varchar(20) NOT NULL COMMENT 'nomor rekam medis',
  `nik` char(16) DEFAULT NULL COMMENT 'Nomor Induk Kependudukan',
  `nama` varchar(150) NOT NULL,
  `jenis_kelamin` enum('L','P') NOT NULL,
  `tanggal_lahir` date DEFAULT NULL,
  `golongan_darah` enum('A','B','AB','O') DEFAULT NULL,
  `alamat` text,
  `telepon` varchar(30) DEFAULT NULL,
  `riwayat` json DEFAULT NULL COMMENT 'riwayat kesehatan',
  `bpjs` tinyint(1) NOT NULL DEFAULT 0,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  `deleted_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `pasien_no_rm_unique` (`no_rm`),
  KEY `pasien_nik_index` (`nik`),
  KEY `pasien_nama_index` (`nama`(50))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Data induk pasien';

CREATE TABLE `jenis_pemeriksaan` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `kode` varchar(16) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
  `nama` varchar(120) NOT NULL,
  `satuan` varchar(20) DEFAULT NULL,
  `nilai_min` decimal(10,3) DEFAULT NULL,
  `nilai_maks` decimal(10,3) DEFAULT NULL,
  `harga` decimal(12,2) NOT NULL,
  `desc` text COMMENT 'keterangan',
  `urutan` smallint unsigned NOT NULL DEFAULT 0,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `jenis_pemeriksaan_kode_unique` (`kode`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Jenis pemeriksaan dan nilai rujukan';

CREATE TABLE `permintaan_pemeriksaan` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `nomor` varchar(30) NOT NULL,
  `pasien_id` bigint unsigned NOT NULL,
  `dokter_id` bigint unsigned DEFAULT NULL,
  `ruangan_id` bigint unsigned NOT NULL,
  `status` enum('draft','diterima','diproses','selesai','batal') NOT NULL DEFAULT 'draft',
  `prioritas` tinyint unsigned NOT NULL DEFAULT 0 COMMENT '0 biasa, 1 segera, 2 CITO',
  `tanggal` datetime NOT NULL,
  `catatan` text,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  `deleted_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `permintaan_pemeriksaan_nomor_unique` (`nomor`),
  KEY `permintaan_pemeriksaan_status_tanggal_index` (`status`,`tanggal`),
  CONSTRAINT `permintaan_pemeriksaan_pasien_id_foreign` FOREIGN KEY (`pasien_id`) REFERENCES `pasien` (`id`) ON DELETE CASCADE,
  CONSTRAINT `permintaan_pemeriksaan_dokter_id_foreign` FOREIGN KEY (`dokter_id`) REFERENCES `dokter` (`id`) ON DELETE SET NULL,
  CONSTRAINT `permintaan_pemeriksaan_ruangan_id_foreign` FOREIGN KEY (`ruangan_id`) REFERENCES `ruangan` (`id`) ON DELETE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Permintaan pemeriksaan laboratorium';

CREATE TABLE `detail_permintaan` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `permintaan_id` bigint unsigned NOT NULL,
  `jenis_pemeriksaan_id` bigint unsigned NOT NULL,
  `harga` decimal(12,2) NOT NULL,
  `diskon` decimal(5,2) DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `detail_permintaan_permintaan_id_foreign` FOREIGN KEY (`permintaan_id`) REFERENCES `permintaan_pemeriksaan` (`id`) ON DELETE CASCADE,
  CONSTRAINT `detail_permintaan_jenis_id_foreign` FOREIGN KEY (`jenis_pemeriksaan_id`) REFERENCES `jenis_pemeriksaan` (`id`) ON DELETE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Rincian permintaan pemeriksaan';

CREATE TABLE `hasil_pemeriksaan` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `detail_permintaan_id` bigint unsigned NOT NULL,
  `nilai` decimal(14,4) DEFAULT NULL,
  `nilai_teks` varchar(255) DEFAULT NULL,
  `flag` enum('N','L','H','LL','HH') NOT NULL DEFAULT 'N',
  `kritis` tinyint(1) NOT NULL DEFAULT 0,
  `rincian` json DEFAULT NULL,
  `diverifikasi_oleh` bigint unsigned DEFAULT NULL,
  `diverifikasi_pada` datetime(3) DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `hasil_pemeriksaan_detail_foreign` FOREIGN KEY (`detail_permintaan_id`) REFERENCES `detail_permintaan` (`id`) ON DELETE CASCADE,
  CONSTRAINT `hasil_pemeriksaan_verifikator_foreign` FOREIGN KEY (`diverifikasi_oleh`) REFERENCES `users` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Hasil pemeriksaan laboratorium';

CREATE TABLE `sampel` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `barcode` varchar(32) CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL,
  `permintaan_id` bigint unsigned NOT NULL,
  `jenis` enum('darah','serum','urin','feses','swab') NOT NULL,
  `volume` float DEFAULT NULL COMMENT 'mL',
  `suhu` double DEFAULT NULL COMMENT '°C',
  `kondisi` set('lisis','lipemik','ikterik','beku') NOT NULL DEFAULT '',
  `diambil_pada` datetime(6) DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `sampel_barcode_unique` (`barcode`),
  CONSTRAINT `sampel_permintaan_id_foreign` FOREIGN KEY (`permintaan_id`) REFERENCES `permintaan_pemeriksaan` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Sampel yang diambil';

CREATE TABLE `dokumen_hasil` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `hasil_id` bigint unsigned NOT NULL,
  `nama_berkas` varchar(255) NOT NULL,
  `berkas` mediumblob,
  `sha256` binary(32) NOT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `dokumen_hasil_hasil_id_foreign` FOREIGN KEY (`hasil_id`) REFERENCES `hasil_pemeriksaan` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Lampiran hasil pemeriksaan';

CREATE TABLE `alat_laboratorium` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `kode` varchar(20) NOT NULL,
  `nama` varchar(100) NOT NULL,
  `ruangan_id` bigint unsigned DEFAULT NULL,
  `kalibrasi_terakhir` date DEFAULT NULL,
  `konfigurasi` json DEFAULT NULL,
  `aktif` tinyint(1) NOT NULL DEFAULT 1,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `alat_laboratorium_kode_unique` (`kode`),
  CONSTRAINT `alat_laboratorium_ruangan_id_foreign` FOREIGN KEY (`ruangan_id`) REFERENCES `ruangan` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Alat laboratorium';

CREATE TABLE `reagen` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `kode` varchar(20) NOT NULL,
  `nama` varchar(120) NOT NULL,
  `satuan` varchar(20) NOT NULL DEFAULT 'mL',
  `harga` decimal(12,2) NOT NULL DEFAULT 0.00,
  `suhu_simpan` smallint DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  `deleted_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `reagen_kode_unique` (`kode`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Reagen';

CREATE TABLE `alat_reagen` (
  `alat_id` bigint unsigned NOT NULL,
  `reagen_id` bigint unsigned NOT NULL,
  `takaran` decimal(8,3) NOT NULL DEFAULT 0.000,
  PRIMARY KEY (`alat_id`,`reagen_id`),
  CONSTRAINT `alat_reagen_alat_id_foreign` FOREIGN KEY (`alat_id`) REFERENCES `alat_laboratorium` (`id`) ON DELETE CASCADE,
  CONSTRAINT `alat_reagen_reagen_id_foreign` FOREIGN KEY (`reagen_id`) REFERENCES `reagen` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Reagen yang dipakai setiap alat';

CREATE TABLE `stok_reagen` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `reagen_id` bigint unsigned NOT NULL,
  `nomor_batch` varchar(40) NOT NULL,
  `jumlah` decimal(12,2) NOT NULL DEFAULT 0.00,
  `kedaluwarsa` date DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `stok_reagen_reagen_id_nomor_batch_unique` (`reagen_id`,`nomor_batch`),
  CONSTRAINT `stok_reagen_reagen_id_foreign` FOREIGN KEY (`reagen_id`) REFERENCES `reagen` (`id`) ON DELETE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Stok reagen per batch';

CREATE TABLE `kasir` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `user_id` bigint unsigned NOT NULL,
  `kode` varchar(10) NOT NULL,
  `shift` enum('pagi','siang','malam') NOT NULL,
  `saldo` decimal(15,2) NOT NULL DEFAULT 0.00,
  `buka` time DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `kasir_kode_unique` (`kode`),
  CONSTRAINT `kasir_user_id_foreign` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE RESTRICT
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Loket kasir';

CREATE TABLE `pembayaran` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `nomor` varchar(30) NOT NULL,
  `permintaan_id` bigint unsigned DEFAULT NULL,
  `kasir_id` bigint unsigned DEFAULT NULL,
  `metode` enum('tunai','debit','kredit','QRIS','BPJS') NOT NULL,
  `total` decimal(12,2) NOT NULL,
  `lunas` tinyint(1) NOT NULL DEFAULT 0,
  `dibayar_pada` datetime DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `pembayaran_nomor_unique` (`nomor`),
  CONSTRAINT `pembayaran_permintaan_id_foreign` FOREIGN KEY (`permintaan_id`) REFERENCES `permintaan_pemeriksaan` (`id`) ON DELETE SET NULL,
  CONSTRAINT `pembayaran_kasir_id_foreign` FOREIGN KEY (`kasir_id`) REFERENCES `kasir` (`id`) ON DELETE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Pembayaran pasien';

CREATE TABLE `skp_tahunan` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `user_id` bigint unsigned NOT NULL,
  `tahun` year NOT NULL,
  `nilai` decimal(5,2) DEFAULT NULL,
  `predikat` enum('sangat baik','baik','cukup','kurang') DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `skp_tahunan_user_tahun_unique` (`user_id`,`tahun`),
  CONSTRAINT `fk_skp_tahunan_user` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Sasaran Kinerja Pegawai tahunan';

CREATE TABLE `log_aktivitas` (
  `user_id` bigint unsigned DEFAULT NULL,
  `aksi` varchar(50) NOT NULL,
  `objek` varchar(100) DEFAULT NULL,
  `objek_id` bigint unsigned DEFAULT NULL,
  `alamat_ip` varchar(45) DEFAULT NULL,
  `data` json DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  KEY `log_aktivitas_objek_index` (`objek`,`objek_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='Log aktivitas pengguna, tanpa kunci utama';

CREATE TABLE `notifications` (
  `id` char(36) NOT NULL,
  `type` varchar(255) NOT NULL,
  `notifiable_type` varchar(255) NOT NULL,
  `notifiable_id` bigint unsigned NOT NULL,
  `data` text NOT NULL,
  `read_at` timestamp NULL DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `notifications_notifiable_type_notifiable_id_index` (`notifiable_type`,`notifiable_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `personal_access_tokens` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `tokenable_type` varchar(255) NOT NULL,
  `tokenable_id` bigint unsigned NOT NULL,
  `name` varchar(255) NOT NULL,
  `token` varchar(64) NOT NULL,
  `abilities` text,
  `last_used_at` timestamp NULL DEFAULT NULL,
  `expires_at` timestamp NULL DEFAULT NULL,
  `created_at` timestamp NULL DEFAULT NULL,
  `updated_at` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `personal_access_tokens_token_unique` (`token`),
  KEY `personal_access_tokens_tokenable_type_tokenable_id_index` (`tokenable_type`,`tokenable_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `sessions` (
  `id` varchar(255) NOT NULL,
  `user_id` bigint unsigned DEFAULT NULL,
  `ip_address` varchar(45) DEFAULT NULL,
  `user_agent` text,
  `payload` longtext NOT NULL,
  `last_activity` int NOT NULL,
  PRIMARY KEY (`id`),
  KEY `sessions_user_id_index` (`user_id`),
  KEY `sessions_last_activity_index` (`last_activity`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `cache` (
  `key` varchar(255) NOT NULL,
  `value` mediumtext NOT NULL,
  `expiration` int NOT NULL,
  PRIMARY KEY (`key`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `jobs` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `queue` varchar(255) NOT NULL,
  `payload` longtext NOT NULL,
  `attempts` tinyint unsigned NOT NULL,
  `reserved_at` int unsigned DEFAULT NULL,
  `available_at` int unsigned NOT NULL,
  `created_at` int unsigned NOT NULL,
  PRIMARY KEY (`id`),
  KEY `jobs_queue_index` (`queue`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `failed_jobs` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `uuid` varchar(255) NOT NULL,
  `connection` text NOT NULL,
  `queue` text NOT NULL,
  `payload` longtext NOT NULL,
  `exception` longtext NOT NULL,
  `failed_at` timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (`id`),
  UNIQUE KEY `failed_jobs_uuid_unique` (`uuid`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
