//! The corpus of statements (`fixtures/ddl/`): each is read wholly or refused with a reason.

/// The statements of a file: each ends at a semicolon at a line's end; lines that begin with `-- ` before one are remarks.
pub(crate) fn statements(file: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut statement = String::new();
    for line in file.lines() {
        if statement.is_empty() && (line.starts_with("-- ") || line.trim().is_empty()) {
            continue;
        }
        statement.push_str(line);
        match statement.strip_suffix(';') {
            Some(whole) => {
                out.push(whole.to_owned());
                statement.clear();
            }
            None => statement.push('\n'),
        }
    }
    out
}
