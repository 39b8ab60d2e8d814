//! JSON documents: at random, and those that have gone wrong somewhere.

use super::families::Type;
use super::random::Random;
use sirenia::embedded::SourceKind;

pub fn json(kind: SourceKind) -> Type {
    let mut edges: Vec<String> = [
        "{}",
        "[]",
        "null",
        "true",
        "false",
        "\"\"",
        "0",
        "-0",
        "-1",
        "1.0",
        "-0.0",
        "1.5e-7",
        "1e20",
        "1E+2",
        "123.4500",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "65535",
        "-32769",
        "[[[[[[[[1]]]]]]]]",
        "{\"\": 1}",
        "{\"b\": 1, \"a\": 2, \"aa\": 3}",
        "{\"a\": 1, \"a\": 2}",
        "{\"a\": {\"b\": [1, {\"c\": null}]}}",
        "[\"\\u0000\", \"a\\u0000b\", \"\\\\u0000\"]",
        "{\"\\u0000\": 1}",
        "\"\\ud83d\\ude00\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "\"\\u00e9é😀\"",
        "  [ 1 ,\t2 ]  ",
        "\"\\u001f\"",
        "[1.7976931348623157e308, 5e-324, 0.1]",
    ]
    .iter()
    .map(|text| quoted(text))
    .collect();
    if kind == SourceKind::MySql {
        edges.push(quoted(&format!("{}1{}", "[".repeat(90), "]".repeat(90))));
        edges.extend(
            [
                "JSON_OBJECT('d', CAST(12.3400 AS DECIMAL(10,4)), 'e', CAST(-0.5 AS DECIMAL(65,30)))",
                "JSON_ARRAY(CAST('2023-01-31' AS DATE), CAST('23:59:59.123456' AS TIME(6)), CAST('-838:59:59' AS TIME))",
                "JSON_ARRAY(CAST('2023-01-31 01:02:03' AS DATETIME), CAST('9999-12-31 23:59:59.999999' AS DATETIME(6)))",
                "JSON_ARRAY(TIMESTAMP '2000-02-29 00:00:00.5', CAST('0000-00-00' AS DATE), CAST(2023 AS YEAR))",
                "JSON_ARRAY(X'00FF10', CAST('abc' AS BINARY(5)), b'101', CAST(X'' AS BINARY))",
                "JSON_OBJECT('f', CAST(0.1 AS FLOAT), 'g', 0.1e0, 'h', 1e0, 'i', 0.1)",
                "JSON_ARRAY(ST_GeomFromText('POINT(1 2)'), TRUE, FALSE, NULL)",
                "CAST(CAST(99999999999999999999999999999999999.5 AS DECIMAL(65,30)) AS JSON)",
                "CAST(REPEAT('x', 70000) AS JSON)",
                "JSON_ARRAY(REPEAT('x', 127), REPEAT('y', 128), REPEAT('z', 16384))",
            ]
            .map(str::to_owned),
        );
        // `CAST(text AS JSON)` reads JSON; a string comes by JSON_QUOTE
        edges.retain(|edge| !edge.starts_with("CAST(REPEAT"));
        edges.push("JSON_ARRAY(REPEAT('x', 70000))".to_owned());
    } else {
        edges.push(quoted(&format!("{}1{}", "[".repeat(28), "]".repeat(28))));
        // the last three are JSON to MariaDB alone
        let more = [
            "1e400",
            "123456789012345678901234567890.123456789",
            "{\"a\":1,\"a\":{\"a\":2}}",
            "1e999999",
            "[1.]",
            "\"\\x\"",
        ];
        edges.extend(more.map(quoted));
    }
    let numbers: Vec<String> = (0..9000).map(|number| (number * 7919 - 9000).to_string()).collect();
    edges.push(quoted(&format!("[{}]", numbers.join(","))));
    let members: Vec<String> = (0..3000).map(|number| format!("\"key{number}\": \"value {number}\"")).collect();
    edges.push(quoted(&format!("{{{}}}", members.join(","))));
    Type { declared: "JSON".to_owned(), edges, random: Box::new(|random| quoted(&tree(random, 4))) }
}

fn quoted(json: &str) -> String {
    format!("'{}'", json.replace('\\', "\\\\").replace('\'', "''"))
}

fn tree(random: &mut Random, depth: u64) -> String {
    match random.below(if depth == 0 { 7 } else { 10 }) {
        0 => ["null", "true", "false"][random.below(3) as usize].to_owned(),
        1 => (random.i64() >> random.below(64)).to_string(),
        2 => (random.next() >> random.below(64)).to_string(),
        3 => {
            let value = f64::from_bits(random.next());
            if value.is_finite() { format!("{value:e}") } else { "0.5".to_owned() }
        }
        4 => format!("{}.{:03}", random.i64() >> 40, random.below(1000)),
        5 | 6 => text(random),
        7 => {
            let items: Vec<String> = (0..random.below(5)).map(|_| tree(random, depth - 1)).collect();
            format!("[{}]", items.join(", "))
        }
        _ => {
            let members = (0..random.below(5)).map(|_| format!("{}: {}", text(random), tree(random, depth - 1)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

fn text(random: &mut Random) -> String {
    let pieces = [
        "a",
        "b",
        "key",
        " ",
        "é",
        "日本",
        "😀",
        "\\n",
        "\\\"",
        "\\\\",
        "\\u00e9",
        "\\u0000",
        "\\ud83d\\ude00",
        "'",
        "/",
    ];
    let length = random.below(6);
    let inner: String = (0..length).map(|_| pieces[random.below(pieces.len() as u64) as usize]).collect();
    format!("\"{inner}\"")
}
