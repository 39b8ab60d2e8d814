//! The design's tiers, read from the source: modules import downward only, `source` and `target` never meet, and no file
//! grows beyond what one can read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module at the top of `src/` with its tier. A module may use those of its own tier and of lower ones.
const TIERS: &[(&str, u8)] = &[
    // 0: vocabulary, no I/O, no async
    ("error", 0),
    ("ident", 0),
    ("position", 0),
    ("identity", 0),
    ("value", 0),
    ("schema", 0),
    ("change", 0),
    ("mapping", 0),
    ("policy", 0),
    ("masking", 0),
    ("metrics", 0),
    ("status", 0),
    // 1: settings
    ("config", 1),
    ("tls", 1),
    // 2: pure stages, testable without servers
    ("binlog", 2),
    ("convert", 2),
    ("ddl", 2),
    ("key_graph", 2),
    ("batch", 2),
    ("merge", 2),
    ("copy_format", 2),
    // 3: edges, the only modules that touch a database
    ("source", 3),
    ("target", 3),
    ("spool", 3),
    // 4 to 6: what is done with them
    ("pipeline", 4),
    ("stream", 4),
    ("verify", 5),
    ("ops", 6),
    // 7: surface
    ("cli", 7),
    ("http", 7),
    ("embedded", 7),
    ("demo", 7),
    // the crate's root
    ("lib", 8),
    ("main", 8),
    // not modules but what paths begin with at the root
    ("Result", 0),
    ("Error", 0),
    ("ErrorKind", 0),
];

/// The longest file, tests aside; and the thin binary.
const LONGEST: usize = 600;
const MAIN: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files of `src/` that are not tests, as (path below `src/`, text without its test module and comments).
fn files() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let tests = test_files(&found);
    found.retain(|name, _| !tests.contains(name));
    found.values_mut().for_each(|text| *text = without_tests(text));
    assert!(found.len() > 20, "where is the source? {:?}", found.keys());
    found
}

/// Files that are compiled for tests only: those that a `mod` behind `#[cfg(test)]` names.
fn test_files(all: &BTreeMap<String, String>) -> Vec<String> {
    let mut tests = Vec::new();
    for (name, text) in all {
        let folder = match name.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            Some((folder, file)) => format!("{folder}/{}/", file.trim_end_matches(".rs")),
            None if name == "lib.rs" || name == "main.rs" => String::new(),
            None => format!("{}/", name.trim_end_matches(".rs")),
        };
        let beside = name.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(module) = line.strip_suffix(';').and_then(|line| line.split("mod ").nth(1)) else { continue };
            let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
            let attributes: Vec<_> = attributes.collect();
            if !attributes
                .iter()
                .any(|attribute| attribute.starts_with("#[cfg(test)]") || attribute.contains("all(test"))
            {
                continue;
            }
            let path =
                attributes.iter().find_map(|attribute| attribute.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            match path {
                Some(path) => tests.push(format!("{beside}{path}")),
                None => tests.extend([format!("{folder}{module}.rs"), format!("{folder}{module}/mod.rs")]),
            }
        }
    }
    // what a test module's folder holds belongs to it
    let folders: Vec<String> =
        tests.iter().filter_map(|file| Some(format!("{}/", file.strip_suffix(".rs")?))).collect();
    tests.extend(all.keys().filter(|name| folders.iter().any(|folder| name.starts_with(folder))).cloned());
    tests
}

/// The text up to its test module, without comments.
fn without_tests(text: &str) -> String {
    let mut lines = Vec::new();
    let all: Vec<&str> = text.lines().collect();
    for (at, line) in all.iter().enumerate() {
        let next = all[at + 1..].iter().find(|line| !line.trim().starts_with("#["));
        let module = next.is_some_and(|line| {
            line.trim_start().trim_start_matches("pub(crate) ").starts_with("mod ") && line.ends_with('{')
        });
        if line.starts_with("#[cfg(test)]") && module {
            break;
        }
        lines.push(line.split("//").next().unwrap_or_default());
    }
    lines.join("\n")
}

/// The top-level module that a file belongs to.
fn module_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// Every `crate::x` and `crate::{x, y}` in a text: the names behind `crate::`.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') || text[..at].ends_with("$") {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut first = true;
            for (n, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => first = true,
                    c if first && (c.is_alphanumeric() || c == '_') => {
                        found.push(name(&group[n..]));
                        first = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.push(name(rest));
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn tier(module: &str) -> Option<u8> {
    TIERS.iter().find(|(name, _)| *name == module).map(|(_, tier)| *tier)
}

#[test]
fn imports_go_downward() {
    let mut upward = Vec::new();
    for (file, text) in files() {
        let module = module_of(&file);
        let Some(own) = tier(module) else {
            upward.push(format!(
                "{file}: the module {module} is in no tier: add it to the table in tests/architecture.rs"
            ));
            continue;
        };
        for import in imports(&text) {
            match tier(&import) {
                None => upward.push(format!("{file}: crate::{import} is in no tier")),
                Some(other) if other > own => {
                    upward.push(format!("{file} (tier {own}) uses crate::{import} (tier {other})"))
                }
                Some(_) => {}
            }
            let pair = [module, import.as_str()];
            if pair == ["source", "target"] || pair == ["target", "source"] {
                upward.push(format!("{file}: source and target meet in convert only"));
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn vocabulary_does_no_work() {
    for (file, text) in files().iter().filter(|(file, _)| tier(module_of(file)) == Some(0)) {
        for forbidden in ["tokio::", "std::net", "std::fs", "std::process", "async fn", "mysql_async", "tokio_postgres"]
        {
            assert!(!text.contains(forbidden), "{file} has {forbidden}: tier 0 does no I/O and is not async");
        }
    }
    for (file, text) in files().iter().filter(|(file, _)| tier(module_of(file)) == Some(2)) {
        for forbidden in ["std::net", "mysql_async", "tokio_postgres", "async fn"] {
            assert!(!text.contains(forbidden), "{file} has {forbidden}: tier 2 touches no server");
        }
    }
}

#[test]
fn only_the_edges_touch_a_database() {
    // the embedded servers and the demo on them are clients of their own; verify's look at both sides must share nothing
    let allowed = ["source", "target", "verify", "embedded"];
    let mut found = Vec::new();
    for (file, text) in files() {
        let speaks = text.contains("mysql_async::") || text.contains("tokio_postgres::");
        if speaks && !allowed.contains(&module_of(&file)) && !file.starts_with("cli/demo/") {
            found.push(file);
        }
    }
    assert!(found.is_empty(), "these speak to a database past the edges: {found:?}");
}

#[test]
fn files_can_be_read_in_one_go() {
    let mut long = Vec::new();
    for (file, text) in files() {
        let (lines, most) = (text.lines().count(), if file == "main.rs" { MAIN } else { LONGEST });
        if lines > most {
            long.push(format!("{file} has {lines} lines, more than {most}"));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn names_are_nouns_of_the_domain() {
    for file in files().keys() {
        for part in file.trim_end_matches(".rs").split('/') {
            assert!(!["utils", "util", "common", "helpers", "types", "misc"].contains(&part), "{file}: what is in it?");
        }
    }
}

#[test]
fn every_module_begins_with_what_it_is() {
    for file in files().keys() {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.starts_with("//!"), "{file} has no header");
    }
}

#[test]
fn paths_are_found_in_every_form() {
    let text = "use crate::error::{Error, Result};\nuse crate::{batch::Batch, merge::{a, b}, target};\nlet x = crate::ident::mysql(y);";
    assert_eq!(imports(text), ["error", "batch", "merge", "target", "ident"]);
    assert_eq!(without_tests("a\n// crate::x\n#[cfg(test)]\nmod tests {\nb"), "a\n");
}
