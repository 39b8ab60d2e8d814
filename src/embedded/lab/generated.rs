//! Tables beyond the hand-written ones, with seeded column sets: the long tail of a schema that has grown for years.

use super::random::Random;
use super::table::{Fill, Table};
use std::borrow::Cow;

const PREFIXES: &[&str] = &["lap", "trx", "ref", "rekap", "arsip"];
const NOUNS: &[&str] = &[
    "pasien",
    "kunjungan",
    "reagen",
    "alat",
    "kalibrasi",
    "mutu",
    "limbah",
    "inventaris",
    "jadwal",
    "rujukan",
    "tagihan",
    "klaim",
    "sampel",
    "suhu_kulkas",
    "kontrol_mutu",
    "keluhan",
    "pelatihan",
    "cuti",
    "absensi",
    "pengadaan",
];

/// Column name, definition, filling.
const COLUMNS: &[(&str, &str, Fill)] = &[
    ("nama", "varchar(150) NOT NULL", Fill::Person),
    ("keterangan", "text", Fill::MaybeSentence),
    ("jumlah", "int NOT NULL DEFAULT 0", Fill::Int(-2_000_000_000, 2_000_000_000)),
    ("total", "decimal(12,2) NOT NULL DEFAULT 0.00", Fill::Decimal(-99_999, 99_999_999, 2)),
    ("persen", "decimal(5,2) DEFAULT NULL", Fill::Decimal(0, 10_000, 2)),
    ("status", "enum('baru','proses','selesai') NOT NULL DEFAULT 'baru'", Fill::OneOf(&["baru", "proses", "selesai"])),
    ("aktif", "tinyint(1) NOT NULL DEFAULT 1", Fill::Int(0, 1)),
    ("tanggal", "date DEFAULT NULL", Fill::Day),
    ("waktu", "datetime DEFAULT NULL", Fill::Moment(0)),
    ("waktu_presisi", "datetime(6) DEFAULT NULL", Fill::Moment(6)),
    ("jam", "time DEFAULT NULL", Fill::Time),
    ("tahun", "year DEFAULT NULL", Fill::Int(2000, 2030)),
    ("data", "json DEFAULT NULL", Fill::MaybeJson),
    ("alamat", "varchar(255) DEFAULT NULL", Fill::Address),
    ("telepon", "varchar(30) DEFAULT NULL", Fill::Phone),
    ("uuid", "char(36) DEFAULT NULL", Fill::Uuid),
    ("kode_hash", "binary(16) DEFAULT NULL", Fill::Bytes(16)),
    ("lampiran", "blob", Fill::Bytes(80)),
    ("suhu", "double DEFAULT NULL", Fill::Float),
    ("rasio", "float DEFAULT NULL", Fill::Float),
    ("urutan", "smallint unsigned NOT NULL DEFAULT 0", Fill::Int(0, 65_535)),
    ("poin", "mediumint DEFAULT NULL", Fill::Int(-8_388_608, 8_388_607)),
    ("byte_terpakai", "bigint unsigned DEFAULT NULL", Fill::Int(0, i64::MAX - 1)),
    ("catatan_panjang", "longtext", Fill::LongText),
    ("kondisi", "set('a','b','c') DEFAULT NULL", Fill::OneOf(&["", "a", "a,c", "b"])),
    ("order", "int unsigned DEFAULT NULL", Fill::Int(0, 4_294_967_295)),
    (
        "latin",
        "varchar(80) CHARACTER SET latin1 COLLATE latin1_swedish_ci DEFAULT NULL",
        Fill::OneOf(&["Müller", "café", "biasa"]),
    ),
];

/// Tables a generated one may refer to.
const PARENTS: &[(&str, &str)] =
    &[("user_id", "users"), ("pasien_id", "pasien"), ("dokter_id", "dokter"), ("ruangan_id", "ruangan")];

/// The `index`th generated table of a seed.
pub(super) fn table(seed: u64, index: usize) -> Table {
    let (prefix, noun) = (PREFIXES[index % PREFIXES.len()], NOUNS[index / PREFIXES.len() % NOUNS.len()]);
    let name = format!("{prefix}_{noun}_{:02}", index / (PREFIXES.len() * NOUNS.len()) + 1);
    let mut random = Random::new(seed, &name);
    let mut lines = Vec::new();
    let mut columns: Vec<(Cow<'static, str>, Fill)> = Vec::new();

    // of 100 tables: 5 without a key, 5 with a key of two columns, 3 with a UUID as key, the others as Laravel makes them
    let kind = random.below(100);
    let key = match kind {
        0..5 => None,
        5..10 => {
            lines.push("`cabang_id` int NOT NULL".to_owned());
            lines.push("`nomor` int NOT NULL".to_owned());
            columns.push(("cabang_id".into(), Fill::PairFirst(7)));
            columns.push(("nomor".into(), Fill::PairSecond(7, 1)));
            Some("PRIMARY KEY (`cabang_id`,`nomor`)")
        }
        10..13 => {
            lines.push("`id` char(36) NOT NULL".to_owned());
            columns.push(("id".into(), Fill::Uuid));
            Some("PRIMARY KEY (`id`)")
        }
        _ => {
            lines.push("`id` bigint unsigned NOT NULL AUTO_INCREMENT".to_owned());
            columns.push(("id".into(), Fill::Id));
            Some("PRIMARY KEY (`id`)")
        }
    };
    let parent = random.chance(40).then(|| PARENTS[random.below(PARENTS.len() as u64) as usize]);
    if let Some((column, table)) = parent {
        lines.push(format!("`{column}` bigint unsigned DEFAULT NULL"));
        columns.push((column.into(), Fill::MaybeParent(table)));
    }
    let first = random.below(COLUMNS.len() as u64) as usize;
    let (step, count) = (if random.chance(50) { 1 } else { 2 }, random.between(3, 12) as usize);
    let mut indexed = None;
    for n in 0..count {
        let (column, definition, fill) = COLUMNS[(first + n * step) % COLUMNS.len()];
        lines.push(format!("`{column}` {definition}"));
        columns.push((column.into(), fill));
        if matches!(fill, Fill::Day | Fill::Moment(_) | Fill::Phone | Fill::OneOf(_)) {
            indexed = Some(column);
        }
    }
    if random.chance(80) {
        for (column, fill) in [("created_at", Fill::Moment(0)), ("updated_at", Fill::MaybeMoment(80))] {
            lines.push(format!("`{column}` timestamp NULL DEFAULT NULL"));
            columns.push((column.into(), fill));
        }
    }
    lines.extend(key.map(str::to_owned));
    lines.extend(indexed.map(|column| format!("KEY `{name}_{column}_index` (`{column}`)")));
    if let Some((column, table)) = parent {
        let action = random.pick(&["SET NULL", "CASCADE", "RESTRICT"]);
        lines.push(format!(
            "CONSTRAINT `{name}_{column}_foreign` FOREIGN KEY (`{column}`) REFERENCES `{table}` (`id`) ON DELETE {action}"
        ));
    }
    let create = format!(
        "CREATE TABLE `{name}` (\n  {}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci COMMENT='{}'",
        lines.join(",\n  "),
        format_args!("Tabel {prefix} {}", noun.replace('_', " "))
    );
    let weight = 1 + random.below(8);
    Table { name: name.into(), create: create.into(), columns, fixed: 0, weight }
}
