//! The words of an expression as MySQL and MariaDB print it in their catalogues.
//!
//! MySQL prints CHECK conditions and generation expressions escaped once more (`_utf8mb4\'a\'`): a backslash outside of a
//! literal says so, and the text is read again without.

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name in backquotes.
    Name(String),
    /// Anything else made of letters, in lower case.
    Word(String),
    /// A decimal number without sign and exponent.
    Number(String),
    /// A string, its character set's introducer dropped where it changes nothing.
    Text(String),
    /// An operator, a parenthesis or a comma.
    Op(&'static str),
}

/// Longer ones first.
const OPERATORS: [&str; 18] =
    ["<=>", "<>", "!=", "<=", ">=", "&&", "||", "(", ")", ",", "+", "-", "*", "/", "%", "=", "<", ">"];

/// The words of an expression.
///
/// # Errors
/// What stands there that is not known, in words.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    match read(text)? {
        Some(tokens) => Ok(tokens),
        None => read(&unescaped(text))?.ok_or_else(|| "a backslash outside of a string".to_owned()),
    }
}

/// None when a backslash stands outside of a string.
fn read(text: &str) -> Result<Option<Vec<Token>>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '\\' => return Ok(None),
            '`' => name(rest)?,
            '\'' => {
                let (text, after) = string(rest)?;
                (Token::Text(text), after)
            }
            '0'..='9' => number(rest)?,
            '_' | 'a'..='z' | 'A'..='Z' => {
                let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                let (word, after) = (rest[..end].to_ascii_lowercase(), &rest[end..]);
                match word.strip_prefix('_') {
                    Some(_) if after.starts_with('\\') => return Ok(None),
                    Some(charset) if after.starts_with('\'') => {
                        let (text, after) = string(after)?;
                        let plain = ["utf8mb4", "utf8mb3", "utf8"].contains(&charset)
                            || (text.is_ascii() && ["latin1", "ascii"].contains(&charset));
                        if !plain {
                            return Err(format!("a string in character set {charset}"));
                        }
                        (Token::Text(text), after)
                    }
                    _ => (Token::Word(word), after),
                }
            }
            _ => match OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
                Some(operator) => (Token::Op(operator), &rest[operator.len()..]),
                None => return Err(format!("the character {first}")),
            },
        };
        found.push(token);
        rest = after.trim_start();
    }
    Ok(Some(found))
}

fn name(text: &str) -> Result<(Token, &str), String> {
    let mut name = String::new();
    let mut rest = &text[1..];
    loop {
        let end = rest.find('`').ok_or("a name without its end")?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return Ok((Token::Name(name), rest)),
        }
    }
}

fn string(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if text[at + 1..].starts_with('\'') => {
                chars.next();
                out.push('\'');
            }
            '\'' => return Ok((out, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped)) => push_escaped(&mut out, escaped),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("a string without its end".into())
}

/// `String Literals` in the manual.
fn push_escaped(out: &mut String, escaped: char) {
    match escaped {
        '0' => out.push('\0'),
        'n' => out.push('\n'),
        'r' => out.push('\r'),
        't' => out.push('\t'),
        'b' => out.push('\u{8}'),
        'Z' => out.push('\u{1a}'),
        '%' | '_' => out.extend(['\\', escaped]),
        other => out.push(other),
    }
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            (_, Some(escaped)) => push_escaped(&mut out, escaped),
            (c, None) => out.push(c),
        }
    }
    out
}

fn number(text: &str) -> Result<(Token, &str), String> {
    let end = text.find(|c: char| c != '.' && !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let number = &text[..end];
    let plain = number.chars().all(|c| c == '.' || c.is_ascii_digit())
        && number.matches('.').count() <= 1
        && !number.ends_with('.');
    if plain { Ok((Token::Number(number.into()), &text[end..])) } else { Err(format!("the number {number}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_servers_ways_to_print_are_read() {
        let wanted = vec![
            Token::Op("("),
            Token::Name("a`b".into()),
            Token::Op("<>"),
            Token::Text("it's".into()),
            Token::Op(")"),
            Token::Word("and".into()),
            Token::Number("1.5".into()),
        ];
        assert_eq!(tokens(r"(`a``b` <> _utf8mb4\'it\\\'s\') and 1.5").unwrap(), wanted);
        assert_eq!(tokens("(`a``b` <> 'it''s') and 1.5").unwrap(), wanted);
        for bad in ["0x41", "1e5", "_gbk'a'", "`a", "'a", "@x", "1."] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }
}
