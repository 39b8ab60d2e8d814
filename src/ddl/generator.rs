//! Makes DDL of the kinds that are met, for tables of a catalogue, by chance from a seed.
//!
//! What it makes is plausible, not always valid: the servers refuse some of it. Names and comments are Indonesian, spelling,
//! quotes, comments and order vary.

use crate::ident::mysql;
use crate::schema::{Catalog, IndexKind, TableSchema};

/// Numbers by chance (xorshift), and the columns that the statement names already.
pub(crate) struct Chance {
    state: u64,
    used: Vec<String>,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self { state: seed | 1, used: Vec::new() }
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % limit as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn maybe(&mut self, text: &str) -> String {
        if self.once_in(2) { format!("{text} ") } else { String::new() }
    }
}

const TABLES: [&str; 12] = [
    "pelanggan",
    "pesanan",
    "barang",
    "alamat",
    "kategori",
    "pembayaran",
    "Karyawan",
    "gudang",
    "mutasi_stok",
    "kas`kecil",
    "daftar harga",
    "rincian",
];
const COLUMNS: [&str; 20] = [
    "nama",
    "alamat",
    "harga",
    "jumlah",
    "dibuat_pada",
    "tanggal lahir",
    "catatan",
    "kode_pos",
    "aktif",
    "saldo",
    "Jenis",
    "urutan",
    "key",
    "no_hp",
    "diskon",
    "berat",
    "gambar",
    "lokasi",
    "pajak",
    "diubah_pada",
];
const TYPES: [&str; 62] = [
    "INT",
    "int(11)",
    "INT UNSIGNED",
    "BIGINT",
    "bigint(20) unsigned",
    "SMALLINT",
    "TINYINT",
    "tinyint(1)",
    "BOOLEAN",
    "MEDIUMINT UNSIGNED",
    "INT4",
    "INT(6) ZEROFILL",
    "DECIMAL(10,2)",
    "DEC(6)",
    "NUMERIC(12,4) UNSIGNED",
    "FIXED",
    "FLOAT",
    "FLOAT(7,2)",
    "FLOAT(40)",
    "DOUBLE",
    "DOUBLE PRECISION",
    "REAL",
    "BIT",
    "BIT(12)",
    "YEAR",
    "DATE",
    "TIME",
    "TIME(2)",
    "DATETIME",
    "datetime(6)",
    "TIMESTAMP NULL",
    "TIMESTAMP(3) NULL",
    "CHAR(10)",
    "CHAR",
    "VARCHAR(50)",
    "varchar(255)",
    "VARCHAR(20) CHARACTER SET latin1",
    "VARCHAR(30) COLLATE utf8mb4_bin",
    "CHAR(4) CHARSET ascii",
    "VARCHAR(9) BINARY",
    "NVARCHAR(8)",
    "NATIONAL CHAR VARYING(8)",
    "CHARACTER VARYING(12)",
    "TINYTEXT",
    "TEXT",
    "MEDIUMTEXT",
    "LONGTEXT",
    "TEXT(300)",
    "LONG VARCHAR",
    "TEXT CHARACTER SET latin1",
    "BINARY(6)",
    "VARBINARY(16)",
    "CHAR(5) BYTE",
    "TINYBLOB",
    "BLOB",
    "BLOB(999)",
    "LONGBLOB",
    "ENUM('baru','lama','it''s')",
    "SET('a','b','c')",
    "JSON",
    "POINT",
    "GEOMETRYCOLLECTION",
];
/// Defaults, by a word that their types have.
const DEFAULTS: [(&str, &[&str]); 16] = [
    ("INT", &["0", "5", "'7'", "-3", "TRUE"]),
    ("BOOL", &["0", "1", "'1'", "FALSE"]),
    ("DEC", &["0", "0.00", "'1.5'", "12"]),
    ("NUMERIC", &["0", "2.5"]),
    ("FLOAT", &["0", "1.5"]),
    ("DOUBLE", &["0", "-2.25", "100"]),
    ("BIT", &["b'1'", "0", "1"]),
    ("YEAR", &["2020", "'1999'"]),
    ("DATETIME", &["CURRENT_TIMESTAMP", "NOW() ON UPDATE NOW()", "'2020-02-29 10:20:30'", "'2020-02-29'"]),
    ("DATE", &["'2020-02-29'", "(curdate())"]),
    ("TIMESTAMP", &["NULL", "'2021-01-01 00:00:00'"]),
    ("TIME", &["'10:20:30'"]),
    ("CHAR", &["''", "'x'", "'it''s'", "\"dua\"", "(concat('a','b'))"]),
    ("BINARY", &["''", "'ab'"]),
    ("ENUM", &["'baru'", "'it''s'"]),
    ("SET(", &["'a'", "'b,a'", "''"]),
];

fn name(chance: &mut Chance, name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && name != "key";
    if plain && chance.once_in(2) { name.to_owned() } else { mysql(name) }
}

fn table(chance: &mut Chance, table: &str) -> String {
    let own = name(chance, table);
    match chance.below(3) {
        0 => format!("lab.{own}"),
        1 => format!("`lab`.{own}"),
        _ => own,
    }
}

/// A column's definition behind its name.
fn definition(chance: &mut Chance) -> String {
    let ty = chance.pick(&TYPES);
    let mut text = ty.to_owned();
    if chance.once_in(12) && !ty.contains("JSON") {
        return format!("INT {}AS (1 + 1) {}", chance.maybe("GENERATED ALWAYS"), chance.pick(&["VIRTUAL", "STORED"]));
    }
    if !ty.contains("NULL") {
        text += chance.pick(&["", "", " NULL", " NOT NULL", " not null"]);
    }
    let upper = ty.to_uppercase();
    let plain = !upper.contains('(') || !upper.starts_with("TIME") && !upper.starts_with("DATETIME");
    let plain = plain && !["ZERO", "POINT", "BLOB", "TEXT", "LONG"].iter().any(|word| upper.contains(word));
    let defaults = DEFAULTS.iter().find(|(word, _)| upper.contains(word)).filter(|_| plain);
    match defaults {
        Some((_, defaults)) if chance.once_in(2) => {
            text += &format!(" {} {}", chance.pick(&["DEFAULT", "default"]), chance.pick(defaults));
        }
        _ if !text.contains("NOT NULL") && chance.once_in(4) && !ty.contains("NULL") => text += " DEFAULT NULL",
        _ => {}
    }
    if chance.once_in(5) {
        text += chance.pick(&[
            " COMMENT 'nama lengkap; sesuai KTP'",
            " COMMENT 'harga, termasuk \\'pajak\\''",
            " comment ''",
        ]);
    }
    if chance.once_in(25) {
        text += chance.pick(&[" CHECK (1 < 2)", " UNIQUE", " INVISIBLE", " COLUMN_FORMAT DYNAMIC"]);
    }
    text
}

/// A column that the statement has not named yet.
fn column_of(chance: &mut Chance, table: &TableSchema) -> String {
    let free: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|own| !chance.used.iter().any(|u| u == own))
        .collect();
    let column = if free.is_empty() { "nama" } else { chance.pick(&free) };
    chance.used.push(column.to_owned());
    name(chance, column)
}

fn place(chance: &mut Chance, table: &TableSchema) -> String {
    match chance.below(5) {
        0 => " FIRST".into(),
        1 => format!(" AFTER {}", column_of(chance, table)),
        _ => String::new(),
    }
}

fn new_column(chance: &mut Chance) -> String {
    let column = chance.pick(&COLUMNS);
    let mut own = column.to_owned();
    if !chance.once_in(3) || chance.used.contains(&own) {
        own += &format!("_{}", chance.below(500));
    }
    chance.used.push(own.clone());
    name(chance, &own)
}

fn parts(chance: &mut Chance, table: &TableSchema) -> String {
    let (mut parts, mut named) = (Vec::new(), Vec::new());
    for _ in 0..=chance.below(3) {
        let Some(column) = table.columns.get(chance.below(table.columns.len().max(1))) else { continue };
        if chance.used.contains(&column.name) && !parts.is_empty() || named.contains(&&column.name) {
            continue;
        }
        named.push(&column.name);
        let long = column.declared.contains("text") || column.declared.contains("blob");
        let length = if long { "(9)" } else { "" };
        parts.push(format!("{}{length}{}", name(chance, &column.name), chance.pick(&["", "", " ASC", " DESC"])));
    }
    parts.join(if chance.once_in(2) { ", " } else { "," })
}

fn index(chance: &mut Chance, table: &TableSchema) -> String {
    let kind = chance.pick(&["INDEX", "KEY", "UNIQUE", "UNIQUE KEY", "unique index", "key"]);
    let own = if chance.once_in(2) { format!("idx_{} ", chance.below(90)) } else { String::new() };
    format!("{kind} {own}({}){}", parts(chance, table), chance.pick(&["", "", " USING BTREE", " COMMENT 'indeks'"]))
}

fn clause(chance: &mut Chance, table: &TableSchema) -> String {
    let column = column_of(chance, table);
    let indexes: Vec<&str> = table
        .indexes
        .iter()
        .filter(|index| index.kind != IndexKind::Primary)
        .map(|index| index.name.as_str())
        .collect();
    match chance.below(24) {
        0..=5 => {
            let word = chance.pick(&["ADD", "ADD COLUMN", "add", "add column"]);
            format!("{word} {} {}{}", new_column(chance), definition(chance), place(chance, table))
        }
        6 => format!(
            "ADD COLUMN ({} {}, {} {})",
            new_column(chance),
            definition(chance),
            new_column(chance),
            definition(chance)
        ),
        7..=8 => format!("DROP {}{column}", chance.maybe("COLUMN")),
        9..=10 => format!("MODIFY {}{column} {}{}", chance.maybe("COLUMN"), definition(chance), place(chance, table)),
        11..=12 => format!(
            "CHANGE {}{column} {} {}{}",
            chance.maybe("COLUMN"),
            new_column(chance),
            definition(chance),
            place(chance, table)
        ),
        13 => format!("RENAME COLUMN {column} TO {}", new_column(chance)),
        14 => format!("ALTER {}{column} SET DEFAULT {}", chance.maybe("COLUMN"), chance.pick(&["NULL", "'1'", "5"])),
        15 => format!("ALTER {}{column} DROP DEFAULT", chance.maybe("COLUMN")),
        16..=18 => format!("ADD {}", index(chance, table)),
        19 if !indexes.is_empty() => {
            let at = chance.below(indexes.len());
            format!("DROP {} {}", chance.pick(&["INDEX", "KEY"]), mysql(indexes[at]))
        }
        20 if !indexes.is_empty() => {
            let at = chance.below(indexes.len());
            format!("RENAME INDEX {} TO idx_{}", mysql(indexes[at]), chance.below(90))
        }
        21 if indexes.len() == table.indexes.len() => format!("ADD PRIMARY KEY ({})", parts(chance, table)),
        21 => chance.pick(&["DROP PRIMARY KEY", "ADD CHECK (1 <> 2)", "FORCE"]).to_owned(),
        22 => chance
            .pick(&[
                "COMMENT = 'tabel; lama'",
                "ENGINE=InnoDB",
                "AUTO_INCREMENT=100",
                "ROW_FORMAT=DYNAMIC",
                "CHARSET=utf8mb4",
                "DEFAULT CHARACTER SET latin1",
                "DEFAULT COLLATE utf8mb4_unicode_ci",
                "STATS_PERSISTENT = 0",
            ])
            .to_owned(),
        _ => chance
            .pick(&[
                "CONVERT TO CHARACTER SET utf8mb4",
                "CONVERT TO CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci",
                "CONVERT TO CHARACTER SET latin1",
                "ENABLE KEYS",
            ])
            .to_owned(),
    }
}

fn create(chance: &mut Chance, own: &str) -> String {
    let mut elements = vec![
        chance
            .pick(&[
                "id INT NOT NULL AUTO_INCREMENT PRIMARY KEY",
                "`id` bigint unsigned NOT NULL",
                "id SERIAL",
                "id CHAR(36) NOT NULL",
            ])
            .to_owned(),
    ];
    for _ in 0..=chance.below(6) {
        elements.push(format!("{} {}", new_column(chance), definition(chance)));
    }
    if chance.once_in(3) {
        elements.push(
            chance.pick(&["KEY (id)", "UNIQUE KEY uniq (id)", "INDEX `indeks utama` (id) USING BTREE"]).to_owned(),
        );
    }
    let options = chance.pick(&[
        "",
        "",
        " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        " CHARSET latin1 COMMENT='daftar'",
        " ENGINE = MyISAM",
        " default character set utf8mb4 collate 'utf8mb4_unicode_ci'",
        " COLLATE=utf8mb4_unicode_ci ROW_FORMAT=COMPACT",
    ]);
    let separator = if chance.once_in(2) { ", " } else { ",\n  " };
    format!(
        "{} {}{} ({}){options}",
        chance.pick(&["CREATE TABLE", "create table", "CREATE /* baru */ TABLE"]),
        chance.maybe("IF NOT EXISTS"),
        table(chance, own),
        elements.join(separator)
    )
}

/// A statement, and the table of `lab` that it is about.
pub(crate) fn statement(chance: &mut Chance, catalog: &Catalog) -> (String, String) {
    chance.used.clear();
    let tables: Vec<&TableSchema> = catalog.tables.iter().filter(|table| table.name.database == "lab").collect();
    let unused: Vec<&str> =
        TABLES.into_iter().filter(|own| !tables.iter().any(|known| known.name.table == *own)).collect();
    if !unused.is_empty() && (tables.len() < 4 || chance.once_in(20)) {
        let own = chance.pick(&unused);
        return (create(chance, own), own.into());
    }
    let subject = tables[chance.below(tables.len())];
    let own = subject.name.table.as_str();
    let spelled = table(chance, own);
    let sql = match chance.below(40) {
        0 if tables.len() > 3 => format!("DROP TABLE {}{spelled}", chance.maybe("IF EXISTS")),
        1 => format!("TRUNCATE {}{spelled}", chance.maybe("TABLE")),
        2 if !unused.is_empty() => format!("RENAME TABLE {spelled} TO {}", table(chance, unused[0])),
        3 if !unused.is_empty() => {
            format!("ALTER TABLE {spelled} RENAME {}{}", chance.pick(&["", "TO ", "AS "]), table(chance, unused[0]))
        }
        4 if !unused.is_empty() => {
            let new = chance.pick(&unused);
            return (format!("CREATE TABLE {} LIKE {spelled}", table(chance, new)), new.into());
        }
        5 => {
            let other = tables[chance.below(tables.len())].name.table.as_str();
            let (other, middle) = (table(chance, other), "`lab`.`_sementara`");
            format!("RENAME TABLE {spelled} TO {middle}, {other} TO {spelled}, {middle} TO {other}")
        }
        6..=7 => {
            let kind = chance.pick(&["INDEX", "UNIQUE INDEX", "index"]);
            format!("CREATE {kind} idx_{} ON {spelled} ({})", chance.below(90), parts(chance, subject))
        }
        8 => match subject.indexes.last() {
            Some(index) => format!("DROP INDEX {} ON {spelled}", mysql(&index.name)),
            None => format!("ALTER TABLE {spelled} FORCE"),
        },
        9 => format!("/*!50003 ALTER TABLE {spelled} {} */", clause(chance, subject)),
        _ => {
            let count = [1, 1, 1, 2, 2, 3, 4][chance.below(7)];
            let clauses: Vec<String> = (0..count).map(|_| clause(chance, subject)).collect();
            let word =
                chance.pick(&["ALTER TABLE", "alter table", "ALTER /* gh-ost */ TABLE", "ALTER -- ubah\n TABLE"]);
            let end = chance.pick(&["", "", "", ", ALGORITHM=COPY", " /* selesai */"]);
            format!("{word} {spelled} {}{end}", clauses.join(if chance.once_in(2) { ", " } else { ",\n  " }))
        }
    };
    (sql, own.into())
}
