//! Chosen types and masks, end to end: the same rows by the copy and by the stream, as PostgreSQL prints them.

use crate::support::{Setup, World, on_both, tail};
use sirenia::embedded::SourceKind;

const CONFIG: &str = r#"
[lease]
ttl = 2
[types]
tinyint1 = "boolean"
enum = "native"
set = "text"
time = "time"
json = "json"
bit1 = "bit"
datetime_zone = "Asia/Jakarta"
[tables.rules."nilai".columns]
lebar = { type = "double precision" }
kosong = { type = "text" }
cap = { type = "timestamp" }
label = { type = "text" }
kode = { type = "uuid" }
angka = { type = "text" }
[tables.rules."pasien".columns]
nik = { mask = "hmac" }
nama = { mask = "hmac" }
umur = { mask = "hmac" }
alamat = { mask = "null" }
rahasia = { mask = "drop" }
[tables.rules."hasil".columns]
nik = { mask = "hmac" }
"#;

const KEY: &str = "kunci rahasia yang panjang sekali";

const SCHEMA: [&str; 5] = [
    "CREATE TABLE nilai (id INT PRIMARY KEY, aktif TINYINT(1), status ENUM('baru', 'it''s', 'a\\\\b'), label ENUM('x', 'y') NOT NULL,
       bendera SET('a', 'b', 'c'), jam TIME(3), isi JSON, b BIT(1), lokal DATETIME(3), cap TIMESTAMP(3) NULL, lebar FLOAT,
       kosong DATE NULL, kode BINARY(16), angka BIGINT UNSIGNED, kunci DATETIME NOT NULL, UNIQUE KEY (kunci))",
    "CREATE TABLE teks (id INT PRIMARY KEY, a VARCHAR(20) CHARACTER SET cp850, b VARCHAR(20) CHARACTER SET swe7,
       c VARCHAR(20) CHARACTER SET geostd8, d VARCHAR(20) CHARACTER SET armscii8, e VARCHAR(20) CHARACTER SET cp852,
       f VARCHAR(20) CHARACTER SET keybcs2, g VARCHAR(20) CHARACTER SET macce, h VARCHAR(20) CHARACTER SET hp8,
       i VARCHAR(20) CHARACTER SET dec8, j VARCHAR(20) CHARACTER SET utf32, k VARCHAR(20) CHARACTER SET big5,
       l VARCHAR(20) CHARACTER SET tis620)",
    "CREATE TABLE himpunan (s SET('a', 'b', 'c') NOT NULL, n INT, PRIMARY KEY (s))",
    "CREATE TABLE pasien (nik VARCHAR(20) PRIMARY KEY, nama VARCHAR(30) CHARACTER SET latin1, umur INT, alamat VARCHAR(30),
       rahasia VARCHAR(30), UNIQUE KEY (nama(5), umur))",
    "CREATE TABLE hasil (id INT PRIMARY KEY, nik VARCHAR(20),
       FOREIGN KEY (nik) REFERENCES pasien (nik) ON DELETE CASCADE ON UPDATE CASCADE)",
];

/// Rows number `at` and `at` + 1 of each table.
fn rows(at: u32) -> Vec<String> {
    let (a, b) = (at, at + 1);
    vec![
        format!(
            "INSERT INTO nilai VALUES ({a}, 1, 'it''s', 'y', 'a,c', '23:59:59.5', '{{\"a\": 1.5}}', b'1', '2024-05-06 07:08:09.25',
               '2024-05-06 07:08:09.25', 0.1, '2024-05-06', UNHEX('00112233445566778899AABBCCDDEE00'), 18446744073709551615,
               '2024-05-06 00:00:{a:02}'), ({b}, 0, 'a\\\\b', 'x', '', '00:00:00', '[]', b'0', '0000-00-00 00:00:00', NULL, 16777216,
               '0000-00-00', NULL, 0, '2024-05-06 00:00:{b:02}')"
        ),
        format!(
            "INSERT INTO teks VALUES ({a}, 'Äñ°', 'Äå', 'აბ', 'Աբ', 'Łő', 'ěř', 'žő', 'Šß', 'Œñ', 'é😀', '一あ', 'กา'),
               ({b}, NULL, '', NULL, '', NULL, '', NULL, '', NULL, '', NULL, '')"
        ),
        format!("INSERT INTO himpunan VALUES ({a}, 1), ({b}, 1)"),
        format!(
            "INSERT INTO pasien VALUES ('nik{a}', 'Siti é', {a}, 'Jakarta', 'x'), ('nik{b}', NULL, NULL, NULL, NULL)"
        ),
        format!("INSERT INTO hasil VALUES ({a}, 'nik{a}'), ({b}, NULL)"),
    ]
}

/// HMAC as PostgreSQL's own functions have it: two hashes around the key, which is shorter than a block.
fn hmac(value: &str) -> String {
    let pad = |byte: u8| {
        let key: String =
            KEY.bytes().chain(std::iter::repeat(0)).take(64).map(|k| format!("{:02x}", k ^ byte)).collect();
        format!("decode('{key}', 'hex')")
    };
    format!("encode(sha256({} || sha256({} || convert_to({value}, 'UTF8'))), 'hex')", pad(0x5c), pad(0x36))
}

async fn assert_rows(world: &World, at: u32) {
    let target = world.target().await;
    let text = async |sql: String| -> String {
        match target.query_one(&sql, &[]).await {
            Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_else(|| "NULL".into()),
            Err(error) => panic!("{sql}: {error:?}\n{}", tail(&world.log())),
        }
    };
    let moment = "to_char(lokal AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')";
    let row = format!(
        "SELECT concat_ws('|', aktif, status, label, bendera, jam, isi, b, {moment}, cap, lebar, kosong, kode, angka, kunci)
           FROM nilai WHERE id = "
    );
    assert_eq!(
        text(format!("{row}{at}")).await,
        format!(
            "t|it's|y|a,c|23:59:59.5|{{\"a\": 1.5}}|1|2024-05-06 00:08:09.250|2024-05-06 07:08:09.25|0.10000000149011612|2024-05-06|\
             00112233-4455-6677-8899-aabbccddee00|18446744073709551615|2024-05-06 00:00:{at:02}"
        )
    );
    let next = at + 1;
    assert_eq!(
        text(format!("{row}{next}")).await,
        format!("f|a\\b|x||00:00:00|[]|0|16777216|0000-00-00|0|2024-05-06 00:00:{next:02}")
    );
    let row = format!("SELECT concat_ws('|', a, b, c, d, e, f, g, h, i, j, k, l) FROM teks WHERE id = {at}");
    assert_eq!(text(row).await, "Äñ°|Äå|აბ|Աբ|Łő|ěř|žő|Šß|Œñ|é😀|一あ|กา");
    let masked = format!(
        "SELECT count(*)::text FROM pasien WHERE nik = {} AND nama = {} AND umur = {} AND alamat IS NULL",
        hmac(&format!("'nik{at}'")),
        hmac("'Siti é'"),
        hmac(&format!("'{at}'"))
    );
    assert_eq!(text(masked).await, "1");
    let joined = format!("SELECT count(*)::text FROM hasil JOIN pasien USING (nik) WHERE id = {at}");
    assert_eq!(text(joined).await, "1");
    let sets = format!(
        "SELECT string_agg(s, ';' ORDER BY s) FROM himpunan WHERE s IN ({})",
        ["'a'", "'b'", "'a,b'", "'c'"].join(", ")
    );
    assert!(text(sets).await.starts_with("a;"));
}

async fn chosen_types_and_masks(kind: SourceKind) {
    let mut world = World::new(Setup::new(kind)).await;
    let key = std::env::temp_dir().join(format!("sirenia-mask-{}-{kind}", std::process::id()));
    std::fs::write(&key, format!("{KEY}\n")).unwrap();
    world.config = format!("{CONFIG}[mask]\nkey_file = \"{}\"\n", key.display());
    world.run(&["SET SESSION sql_mode = ''"]).await;
    world.run(&SCHEMA).await;
    let lenient =
        |at: u32| -> Vec<String> { std::iter::once("SET SESSION sql_mode = ''".to_owned()).chain(rows(at)).collect() };
    let run = async |world: &World, statements: Vec<String>| {
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        world.run(&statements).await;
    };
    run(&world, lenient(1)).await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0, "{}", tail(&world.log()));
    assert_rows(&world, 1).await;
    run(&world, lenient(3)).await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0, "{}", tail(&world.log()));
    assert_rows(&world, 1).await;
    assert_rows(&world, 3).await;

    // changes find their rows by hashes, cascades too
    world
        .run(&[
            "UPDATE pasien SET nik = 'baru', umur = 50 WHERE nik = 'nik1'",
            "DELETE FROM pasien WHERE nik = 'nik3'",
            "UPDATE himpunan SET n = 2 WHERE s = 'a'",
            "DELETE FROM himpunan WHERE s = 'b'",
        ])
        .await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    let target = world.target().await;
    let sql = format!("SELECT id FROM hasil WHERE nik = {}", hmac("'baru'"));
    let found: Vec<i32> = target.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(found, [1]);
    assert_eq!(target.query("SELECT 1 FROM hasil", &[]).await.unwrap().len(), 3);
    let columns = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position) FROM information_schema.columns
                    WHERE table_schema = 'public' AND table_name = 'pasien'";
    let columns: String = target.query_one(columns, &[]).await.unwrap().get(0);
    assert_eq!(columns, "nik,nama,umur,alamat");
    let (code, stdout, stderr) = world.output(&["verify"]);
    assert_eq!(code, 0, "verify knows types and masks:\n{stdout}\n{stderr}");
    for shown in [world.log(), stdout, stderr] {
        assert!(!shown.contains(KEY) && !shown.contains("Siti"), "a key or value shows");
    }

    // text has a CHECK of the labels and of the error value; another key would make other hashes
    assert!(target.execute("UPDATE nilai SET label = 'z'", &[]).await.is_err());
    target.execute("UPDATE nilai SET label = '' WHERE id = 2", &[]).await.unwrap();
    std::fs::write(&key, format!("{KEY}!\n")).unwrap();
    world.run_to_end(&["--once"]).await.assert_stops(&["settings of table", "masked by hashes"]);
    std::fs::write(&key, "short").unwrap();
    world.run_to_end(&["--once"]).await.assert_stops(&["16 bytes"]);
    std::fs::write(&key, KEY).unwrap();
    assert_eq!(world.output(&["reset", "--yes"]).0, 0);
    let types = "SELECT 1 FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace WHERE typtype = 'e' AND nspname = 'public'";
    assert!(target.query(types, &[]).await.unwrap().is_empty(), "an enum type stays behind");
    std::fs::remove_file(&key).unwrap();
}

/// Every corner of the default types: (column, its declaration, a value, what PostgreSQL prints). `/* mysql */`, `/* mariadb */`: there only.
const CORNERS: &[(&str, &str, &str, &str)] = &[
    ("i1", "TINYINT", "-128", "-128"),
    ("i2", "SMALLINT UNSIGNED", "65535", "65535"),
    ("i3", "MEDIUMINT", "-8388608", "-8388608"),
    ("i3u", "MEDIUMINT UNSIGNED", "16777215", "16777215"),
    ("i4", "INT UNSIGNED", "4294967295", "4294967295"),
    ("i8", "BIGINT", "-9223372036854775808", "-9223372036854775808"),
    ("i8u", "BIGINT UNSIGNED", "9223372036854775807", "9223372036854775807"),
    ("z", "INT(7) ZEROFILL", "42", "42"),
    ("dz", "DECIMAL(10,2) ZEROFILL", "1.5", "1.50"),
    (
        "de",
        "DECIMAL(65,30)",
        "'-99999999999999999999999999999999999.999999999999999999999999999999'",
        "-99999999999999999999999999999999999.999999999999999999999999999999",
    ),
    (
        "du",
        "DECIMAL(65,0) UNSIGNED",
        "REPEAT('9', 65)",
        "99999999999999999999999999999999999999999999999999999999999999999",
    ),
    ("f", "FLOAT", "0.1234567", "0.1234567"),
    ("d", "DOUBLE", "1e-308", "1e-308"),
    ("b1", "BIT(1)", "b'1'", "true"),
    ("b9", "BIT(9)", "b'100000001'", "100000001"),
    ("b64", "BIT(64)", "18446744073709551615", "1111111111111111111111111111111111111111111111111111111111111111"),
    ("y0", "YEAR", "0", "0"),
    ("y", "YEAR", "2155", "2155"),
    ("da", "DATE", "'1000-01-01'", "1000-01-01"),
    ("t0", "TIME", "'-838:59:59'", "-838:59:59"),
    ("t6", "TIME(6)", "'-00:00:00.000001'", "-00:00:00.000001"),
    ("t5", "TIME(5)", "'838:59:58.99999'", "838:59:58.99999"),
    ("dt0", "DATETIME", "'9999-12-31 23:59:59'", "9999-12-31 23:59:59"),
    ("dt6", "DATETIME(6)", "'1000-01-01 00:00:00.000001'", "1000-01-01 00:00:00.000001"),
    ("dt3", "DATETIME(3)", "'2024-02-29 12:00:00.125'", "2024-02-29 12:00:00.125"),
    ("ts1", "TIMESTAMP(1) NULL", "'2038-01-19 03:14:07.5'", "2038-01-19 03:14:07.5+00"),
    ("ts0", "TIMESTAMP NULL", "'1970-01-01 00:00:01'", "1970-01-01 00:00:01+00"),
    ("zero", "DATETIME NOT NULL", "'0000-00-00 00:00:00'", "1970-01-01 00:00:00"),
    ("part", "DATE", "'2023-00-15'", "NULL"),
    ("c", "CHAR(5)", "'ab  '", "ab"),
    ("v", "VARCHAR(5)", "'ab  '", "ab  "),
    ("nul", "TEXT", "CONCAT('a', CHAR(0), 'b')", "ab"),
    ("bi", "BINARY(4)", "UNHEX('0A00')", "\\x0a000000"),
    ("vb", "VARBINARY(4)", "UNHEX('0A00')", "\\x0a00"),
    ("bl", "LONGBLOB", "UNHEX('00FF')", "\\x00ff"),
    ("e0", "ENUM('x', 'y')", "'nothing'", ""),
    ("e1", "ENUM('x', '')", "2", ""),
    ("el", "ENUM('a', '@')", "2", "@"),
    ("s", "SET(%)", "18446744073709551615", "64"),
    (
        "j",
        "JSON",
        "'{\"n\": 12345678901234567890, \"d\": 0.1, \"s\": \"x\\\\u0000y\"}'",
        "{\"d\": 0.1, \"n\": 12345678901234567890, \"s\": \"xy\"}",
    ),
    ("g", "POINT", "ST_GeomFromText('POINT(1 2)', 4326)", "SRID"),
    ("inv", "INT INVISIBLE", "7", "7"),
    ("gs", "INT GENERATED ALWAYS AS (i1 + 1) STORED", "", "-127"),
    ("gv", "INT GENERATED ALWAYS AS (i1 + 2) VIRTUAL", "", "-126"),
    ("vec", "VECTOR(3) /* mysql */", "STRING_TO_VECTOR('[1,-2.5,0]')", "{1,-2.5,0}"),
    ("u", "UUID /* mariadb */", "'00112233-4455-1677-8899-aabbccddee00'", "00112233-4455-1677-8899-aabbccddee00"),
    ("n4", "INET4 /* mariadb */", "'10.0.0.0'", "10.0.0.0"),
    ("n6", "INET6 /* mariadb */", "'fe80::'", "fe80::"),
    ("jl", "LONGTEXT CHARACTER SET latin1 CHECK (json_valid(jl)) /* mariadb */", "'[\"é\", 1.50]'", "[\"é\", 1.50]"),
];

async fn corners_of_the_default_types(kind: SourceKind) {
    let world = World::new(Setup::new(kind)).await;
    let only = |declared: &str| !declared.contains("/*") || declared.contains(&format!("{kind} */"));
    let corners: Vec<_> = CORNERS.iter().filter(|corner| only(corner.1)).collect();
    let members: Vec<String> = (0..64).map(|n| format!("'m{n}'")).collect();
    let long = "é".repeat(100);
    let declared: Vec<String> = corners
        .iter()
        .map(|(name, declared, ..)| format!("{name} {}", declared.replace('%', &members.join(",")).replace('@', &long)))
        .collect();
    let given: Vec<_> = corners.iter().filter(|corner| !corner.2.is_empty()).collect();
    let names: Vec<&str> = given.iter().map(|corner| corner.0).collect();
    let values: Vec<&str> = given.iter().map(|corner| corner.2).collect();
    let insert = |id: u32| format!("INSERT INTO sudut (id, {}) VALUES ({id}, {})", names.join(", "), values.join(", "));
    let create = format!("CREATE TABLE sudut (id INT PRIMARY KEY, {})", declared.join(", "));
    world.run(&["SET SESSION sql_mode = ''", "SET SESSION time_zone = '+00:00'", &create, &insert(1)]).await;
    let ended = world.run_to_end(&["--once"]).await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    world.run(&["SET SESSION sql_mode = ''", "SET SESSION time_zone = '+00:00'", &insert(2)]).await;
    let ended = world.run_to_end(&["--once"]).await;
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let target = world.target().await;
    target.batch_execute("SET TIME ZONE 'UTC'").await.unwrap();
    let mut wrong = Vec::new();
    for (name, _, _, expected) in corners {
        let text = match *name {
            "s" => "cardinality(s)::text".to_owned(),
            "g" => "CASE WHEN substr(g, 6, 4) = '\\xe6100000' THEN 'SRID' ELSE g::text END".to_owned(),
            "n4" | "n6" => format!("host({name})"),
            name => format!("coalesce({name}::text, 'NULL')"),
        };
        let rows = target.query(&format!("SELECT {text} FROM sudut ORDER BY id"), &[]).await.unwrap();
        let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let expected = expected.replace('@', &long);
        if found.iter().any(|found| *found != expected) || found.len() != 2 {
            wrong.push(format!("{name}: {found:?} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{kind}:\n{}", wrong.join("\n"));
    let (code, stdout, stderr) = world.output(&["verify"]);
    assert_eq!(code, 0, "{stdout}\n{stderr}");
}

on_both! {
    chosen_types_and_masks
    corners_of_the_default_types
}
