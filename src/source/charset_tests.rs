//! The decoders of all character sets against the servers' own `CONVERT(… USING utf8mb4)`, code by code.

use crate::convert::sample::decoded;
use crate::schema::{Charset, SourceType};
use crate::source::catalog;
use crate::source::testing::{Server, mapping, run, servers};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The files as they are checked in.
const CORRECTIONS: &str = include_str!("../convert/charset/corrections.rs");
const TABLES: &str = include_str!("../convert/charset/single.rs");

/// Names and longest characters of all sets but `binary`.
async fn sets(conn: &mut Conn) -> Vec<(String, u32)> {
    let sql = "SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS \
               WHERE CHARACTER_SET_NAME <> 'binary' ORDER BY 1";
    conn.query(sql).await.unwrap()
}

/// Every code of one and two bytes, the three-byte ones of EUC, and samples of the four-byte ones.
async fn codes(server: &Server, database: &str) -> Conn {
    let mut conn = server.database(database).await;
    let digits = (0..16).map(|n| format!("({n})")).collect::<Vec<_>>().join(",");
    run(&mut conn, &format!("CREATE TABLE d (n int PRIMARY KEY); INSERT INTO d VALUES {digits}")).await;
    run(&mut conn, "CREATE TABLE n AS SELECT a.n * 4096 + b.n * 256 + c.n * 16 + e.n AS n FROM d a, d b, d c, d e")
        .await;
    run(&mut conn, "CREATE TABLE codes (b varbinary(4) NOT NULL)").await;
    for (wanted, code) in [
        ("n < 256", "LPAD(HEX(n), 2, '0')"),
        ("TRUE", "LPAD(HEX(n), 4, '0')"),
        ("n DIV 256 > 160 AND n % 256 > 160", "CONCAT('8F', HEX(n))"),
        // GB 18030: two bytes, twice; 65521 and 126 * 10 have no common divisor
        (
            "n < 65521",
            "CONCAT(HEX(129 + n * 7 % 126), HEX(48 + n % 10), HEX(129 + n * 11 % 126), HEX(48 + n * 3 % 10))",
        ),
        // every 17th character of UTF-32 and UTF-16, up to U+10FFFF
        ("TRUE", "LPAD(HEX(n * 17), 8, '0')"),
        ("TRUE", "CONCAT(HEX(55296 + n * 5 % 1024), HEX(56320 + n * 3 % 1024))"),
        // and its own bytes read as any other
        (
            "n BETWEEN 128 AND 55295 OR n > 57343",
            "HEX(CONVERT(CONVERT(UNHEX(LPAD(HEX(n), 4, '0')) USING ucs2) USING utf8mb4))",
        ),
        (
            "TRUE",
            "HEX(CONVERT(CONVERT(UNHEX(CONCAT('00', LPAD(HEX(65536 + n * 15), 6, '0'))) USING utf32) USING utf8mb4))",
        ),
    ] {
        run(&mut conn, &format!("INSERT INTO codes SELECT UNHEX({code}) FROM n WHERE {wanted}")).await;
    }
    conn
}

/// What the server reads in each code that it can store: nothing where it has no character.
async fn meanings(conn: &mut Conn, set: &str, longest: u32) -> Vec<(Vec<u8>, Option<String>)> {
    let wide = set.starts_with("utf") || set == "ucs2";
    // what is cut short behind a whole character MySQL leaves out of some sets without a word
    let one = if wide { "TRUE".to_owned() } else { format!("CHAR_LENGTH(CONVERT(b USING {set})) = 1") };
    let sql = format!(
        "SELECT b, CONVERT(CONVERT(b USING {set}) USING utf8mb4) FROM codes \
         WHERE LENGTH(b) BETWEEN 1 AND {longest} AND CAST(CONVERT(b USING {set}) AS BINARY) = b AND {one}"
    );
    let rows: Vec<(Vec<u8>, Vec<u8>)> = conn.query(sql).await.unwrap();
    let meaning = |(code, text): (Vec<u8>, Vec<u8>)| {
        // `?` stands for what has no character, and so does U+FFFD in big5; 0x3F is the second byte of no code
        // MariaDB also converts halves of surrogate pairs, to what is no UTF-8
        let Ok(text) = String::from_utf8(text) else { return (code, None) };
        let none = text.contains('\u{FFFD}') || text.contains('?') && !code.contains(&b'?');
        // MySQL gives nothing at all for bytes that ASCII does not have and for halves of pairs
        (code, Some(text).filter(|text| !text.is_empty() && (wide || !none)))
    };
    rows.into_iter().map(meaning).collect()
}

#[tokio::test]
async fn every_set_is_read_as_the_server_reads_it() {
    for server in servers() {
        let mut conn = codes(server, "every_set").await;
        let sets = sets(&mut conn).await;
        assert!(sets.len() >= 39, "{sets:?}");
        let mut beyond: BTreeMap<String, usize> = BTreeMap::new();
        for (set, longest) in sets {
            let charset = Charset { name: set.clone(), collation: String::new() };
            assert_eq!(charset.max_bytes(), Some(longest), "{set}");
            for (code, text) in meanings(&mut conn, &set, longest).await {
                let (ours, invalid) = decoded(&set, &code).unwrap_or_else(|| panic!("no decoder for {set}"));
                match text {
                    Some(text) => {
                        let text = text.replace('\0', "");
                        assert_eq!((ours, invalid), (text, false), "{:?} {set} {code:02x?}", server.flavor);
                    }
                    None if invalid => {}
                    None => *beyond.entry(set.clone()).or_default() += 1,
                }
            }
        }
        assert!(tables(&mut conn).await == TABLES, "{:?}: other one-byte sets", server.flavor);
        let corrections = corrections(&mut conn).await;
        assert!(corrections.is_none_or(|text| text == CORRECTIONS), "{:?}: other corrections", server.flavor);
        println!("{:?}: codes that only we read: {beyond:?}", server.flavor);
        // the supersets that stand for some sets know more; of all others nothing is invented
        let known = ["big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ujis"];
        assert!(beyond.keys().all(|set| known.contains(&set.as_str())), "{beyond:?}");
    }
}

/// The file of one-byte sets, as this server has them.
async fn tables(conn: &mut Conn) -> String {
    let head = TABLES.split_once("pub(super) const SETS").unwrap().0;
    let single: Vec<_> = sets(conn).await.into_iter().filter(|(_, longest)| *longest == 1).collect();
    let mut file = format!("{head}pub(super) const SETS: [OneByteSet; {}] = [\n", single.len());
    for (set, _) in single {
        let mut characters = vec![0xFFFD; 256];
        for (code, text) in meanings(conn, &set, 1).await {
            characters[usize::from(code[0])] = text.map_or(0xFFFD, |text| u32::from(text.chars().next().unwrap()));
        }
        let low: Vec<String> = (0..0x80u32)
            .filter(|byte| characters[*byte as usize] != *byte)
            .map(|byte| format!("(0x{byte:02X}, 0x{:04X})", characters[byte as usize]))
            .collect();
        let _ = writeln!(file, "    OneByteSet {{ name: \"{set}\", low: &[{}], high: [", low.join(", "));
        for row in characters[128..].chunks(16) {
            let row: Vec<String> = row.iter().map(|character| format!("0x{character:04X}")).collect();
            let _ = writeln!(file, "        {},", row.join(", "));
        }
        file.push_str("    ] },\n");
    }
    file + "];\n"
}

/// The file of corrections to encoding_rs' East Asian sets; none where the server lacks one of them.
async fn corrections(conn: &mut Conn) -> Option<String> {
    let all = sets(conn).await;
    let mut file = CORRECTIONS.split_once("/// Against").unwrap().0.to_owned();
    for (set, encoding) in
        [("big5", encoding_rs::BIG5), ("gb2312", encoding_rs::GBK), ("gb18030", encoding_rs::GB18030)]
    {
        let longest = all.iter().find(|(name, _)| name == set)?.1;
        let name = format!("pub(super) const {}:", set.to_uppercase());
        let before = CORRECTIONS.split_once(&name).unwrap().0;
        let _ = writeln!(file, "{}{name} &[(u16, u16)] = &[", &before[before.rfind("/// Against").unwrap()..]);
        let mut found: Vec<String> = Vec::new();
        for (code, text) in meanings(conn, set, longest).await {
            let ([lead @ 0x81..=0xFF, trail], Some(text)) = (code.as_slice(), text) else { continue };
            if encoding.decode_without_bom_handling(&code).0 != text {
                let character = u32::from(text.chars().next().unwrap());
                found.push(format!("(0x{lead:02X}{trail:02X}, 0x{character:04X})"));
            }
        }
        found.sort();
        found.dedup();
        found.chunks(6).for_each(|row| file += &format!("    {},\n", row.join(", ")));
        file += "];\n\n";
    }
    Some(file.trim_end().to_owned() + "\n")
}

#[tokio::test]
#[ignore = "writes single.rs and corrections.rs in src/convert/charset, as the first one's header says"]
async fn write_charset_tables() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/convert/charset/");
    for server in servers() {
        let mut conn = codes(server, "write_tables").await;
        std::fs::write(format!("{folder}single.rs"), tables(&mut conn).await).unwrap();
        if let Some(text) = corrections(&mut conn).await {
            std::fs::write(format!("{folder}corrections.rs"), text).unwrap();
        }
    }
}

/// Labels come from the catalogue, in UTF-8 whatever the column's own set.
#[tokio::test]
async fn labels_are_utf8() {
    for server in servers() {
        let mut conn = server.database("labels").await;
        run(
            &mut conn,
            "CREATE TABLE t (id int PRIMARY KEY, a enum('é', 'ß') CHARACTER SET latin1, \
             b set('п', 'р') CHARACTER SET cp1251, c enum('字') CHARACTER SET sjis, d enum('é') CHARACTER SET ucs2)",
        )
        .await;
        let catalog = catalog::read(&mut conn, server.flavor, &mapping(&["labels"])).await.unwrap();
        let labels: Vec<&[String]> = catalog.tables[0]
            .columns
            .iter()
            .filter_map(|column| match &column.ty {
                SourceType::Enum { labels } | SourceType::Set { members: labels } => Some(labels.as_slice()),
                _ => None,
            })
            .collect();
        assert_eq!(labels, [&["é", "ß"][..], &["п", "р"], &["字"], &["é"]], "{:?}", server.flavor);
    }
}
