//! Text of every character set: all single bytes, two-byte codes, characters from everywhere, and bytes at random.

use super::families::Type;
use super::random::Random;

/// The types of a character set, whose characters have up to `longest` bytes.
pub fn types(charset: &str, longest: u64) -> Vec<Type> {
    let of = |declared: String, chars: usize| {
        let name = charset.to_owned();
        let random = move |random: &mut Random| match random.below(4) {
            // the server converts from UTF-8 what the set has, and puts question marks for the rest
            0 | 1 => format!("CONVERT(_utf8mb4 X'{}' USING {name})", hex(characters(random, chars).as_bytes())),
            2 => format!("X'{}'", hex(&codes(random, longest, chars))),
            _ => format!("X'{}'", hex(&(0..chars).map(|_| random.next() as u8).collect::<Vec<_>>())),
        };
        Type {
            declared: format!("{declared} CHARACTER SET {charset}"),
            edges: edges(charset, longest),
            random: Box::new(random),
        }
    };
    vec![
        of("CHAR(20)".into(), 15),
        of("VARCHAR(60)".into(), 30),
        of("VARCHAR(300)".into(), 100),
        of("TINYTEXT".into(), 30),
        of("TEXT".into(), 60),
        of("MEDIUMTEXT".into(), 60),
        of("LONGTEXT".into(), 60),
    ]
}

fn edges(charset: &str, longest: u64) -> Vec<String> {
    let from_utf8 = |text: &str| format!("CONVERT(_utf8mb4 X'{}' USING {charset})", hex(text.as_bytes()));
    let mut edges = vec![
        "''".to_owned(),
        from_utf8("abc"),
        from_utf8(" lead and trail  "),
        from_utf8("a\0b"),
        from_utf8("a \0"),
        from_utf8("–—…‘’“”•€™"),
        from_utf8("àéîõüß ÀÉÎÕÜ ¿¡ ñç"),
        from_utf8("Привет Ελλάδα שלום مرحبا"),
        from_utf8("日本語テキスト 한국어 中文"),
        from_utf8("😀𝒳"),
        from_utf8("\\ ' \" \n\t~"),
    ];
    if longest == 1 {
        // every byte
        edges.extend((0..16u8).map(|row| format!("X'{}'", hex(&(0..16).map(|at| row * 16 + at).collect::<Vec<_>>()))));
    }
    if matches!(charset, "ucs2" | "utf16" | "utf16le") {
        edges.extend(["X'D8000041'", "X'0041DC00'", "X'00410000'", "X'D83DDE00'", "X'3DD800DE'"].map(str::to_owned));
    }
    if matches!(charset, "utf8mb3" | "utf8mb4") {
        // half of a surrogate pair, which MariaDB takes; then what is no UTF-8
        edges.extend(["X'41EDA08042'", "X'C080'", "X'41FF42'", "X'F4908080'"].map(str::to_owned));
    }
    edges
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Characters that exist, more of those that many sets have.
fn characters(random: &mut Random, most: usize) -> String {
    let blocks = [
        (0x20, 0x7F),
        (0xA0, 0x180),
        (0x370, 0x530),
        (0x590, 0x700),
        (0xE00, 0xE60),
        (0x10A0, 0x1100),
        (0x2010, 0x2130),
        (0x2500, 0x2600),
        (0x3040, 0x3100),
        (0x4E00, 0x9FA0),
        (0xAC00, 0xD7A0),
        (0xFF01, 0xFFA0),
        (0x1_F300, 0x1_F650),
        (0x1, 0x11_0000),
    ];
    let (low, high) = blocks[random.below(blocks.len() as u64) as usize];
    let length = random.below(most as u64 + 1);
    (0..length).filter_map(|_| char::from_u32(low + random.below(u64::from(high - low)) as u32)).collect()
}

/// Lead and trail bytes as East Asian sets have them, ASCII between.
fn codes(random: &mut Random, longest: u64, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.below(most as u64 / 2 + 1) {
        match random.below(6) {
            0 => bytes.push(b'a' + random.below(26) as u8),
            1 if longest >= 3 => bytes.extend([
                0x8E,
                0xA1 + random.below(8) as u8,
                0xA1 + random.below(94) as u8,
                0xA1 + random.below(94) as u8,
            ]),
            2 if longest >= 3 => bytes.extend([0x8F, 0xA1 + random.below(94) as u8, 0xA1 + random.below(94) as u8]),
            3 => bytes.extend([0x81 + random.below(126) as u8, 0x40 + random.below(0xBF) as u8]),
            4 if longest == 4 => bytes.extend([
                0x81 + random.below(126) as u8,
                0x30 + random.below(10) as u8,
                0x81 + random.below(126) as u8,
                0x30 + random.below(10) as u8,
            ]),
            _ => bytes.extend([0xA1 + random.below(94) as u8, 0xA1 + random.below(94) as u8]),
        }
    }
    bytes
}
