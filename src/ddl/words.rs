//! The words of an SQL statement.
//!
//! Comments vanish; versioned comments (`/*!40000 … */`, `/*M!… */`) count as text, since the server executed them. How
//! quotes and backslashes are read depends on the session's `sql_mode` ([`Mode`]). A statement in which a quote or a
//! comment does not end gives `None`, and then the caller cannot tell and fails closed.

/// What of the session's `sql_mode` changes how a statement is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mode {
    /// `"x"` is a name.
    pub ansi_quotes: bool,
    /// A backslash in a string is a backslash.
    pub no_backslash_escapes: bool,
    /// Types mean something else: MariaDB's ORACLE, MAXDB and REAL_AS_FLOAT.
    pub other_types: bool,
}

impl Mode {
    /// From the bits of `sql_mode` in a Query event (`sql/sql_class.h` of MariaDB, `sql/system_variables.h` of MySQL).
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let has = |mask: u64| bits & mask != 0;
        Self { ansi_quotes: has(0x4), no_backslash_escapes: has(0x10_0000), other_types: has(0x1 | 0x200 | 0x1000) }
    }
}

/// One word, name, literal or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword, number or unquoted name.
    Word(&'a str),
    /// A name in backticks, or in double quotes under ANSI_QUOTES.
    Quoted(String),
    /// `"…"`: where the mode is not known, a name or a string.
    DoubleQuoted(String),
    /// What a string literal says.
    Literal(String),
    /// Anything else.
    Sign(char),
}

impl Token<'_> {
    /// Whether it is this keyword, written in capitals.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// The name it is, if it can be one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            Self::Quoted(name) | Self::DoubleQuoted(name) => Some(name),
            _ => None,
        }
    }
}

/// Takes a statement apart in the default mode; `None` when a quote or comment does not end.
pub(crate) fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    Tokens::new(sql).collect()
}

/// Takes a statement apart, each word with the bytes at which it starts and ends.
pub(crate) fn placed(sql: &str, mode: Mode) -> Option<Vec<(Token<'_>, usize, usize)>> {
    let mut tokens = Tokens { mode, ..Tokens::new(sql) };
    let mut out = Vec::new();
    while let Some(token) = tokens.next() {
        let token = match token? {
            Token::DoubleQuoted(text) if mode.ansi_quotes => Token::Quoted(text),
            Token::DoubleQuoted(text) => Token::Literal(text),
            token => token,
        };
        out.push((token, tokens.start, sql.len() - tokens.rest.len()));
    }
    Some(out)
}

/// An iterator over the words, ending after the first error.
pub(crate) struct Tokens<'a> {
    sql: &'a str,
    rest: &'a str,
    /// Where the last word starts.
    start: usize,
    mode: Mode,
}

impl<'a> Tokens<'a> {
    pub fn new(sql: &'a str) -> Self {
        Self { sql, rest: sql, start: 0, mode: Mode::default() }
    }

    /// Drops blanks and comments, and the marks around versioned comments. False when a comment does not end.
    fn skip_blanks(&mut self) -> bool {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\0' || c == '\x0B');
            let versioned = self.rest.strip_prefix("/*!").or_else(|| self.rest.strip_prefix("/*M!"));
            if let Some(text) = versioned {
                self.rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else { return false };
                self.rest = &comment[end + 2..];
            } else if let Some(text) = self.rest.strip_prefix("*/") {
                self.rest = text;
            } else if self.rest.starts_with('#') || is_dash_comment(self.rest) {
                self.rest = self.rest.find('\n').map_or("", |end| &self.rest[end + 1..]);
            } else {
                return true;
            }
        }
    }

    /// The text up to the closing quote, in which the doubled quote stands for itself.
    fn quoted(&mut self, quote: char, backslash: bool) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c == '\\' && backslash {
                match chars.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'b' => text.push('\u{8}'),
                    '0' => text.push('\0'),
                    'Z' => text.push('\u{1A}'),
                    // kept for LIKE
                    wild @ ('%' | '_') => text.extend(['\\', wild]),
                    other => text.push(other),
                }
            } else if c != quote || chars.next_if(|(_, next)| *next == quote).is_some() {
                text.push(c);
            } else {
                self.rest = &self.rest[at + 1..];
                return Some(text);
            }
        }
        None
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Option<Token<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.skip_blanks() {
            self.rest = "";
            return Some(None);
        }
        self.start = self.sql.len() - self.rest.len();
        let first = self.rest.chars().next()?;
        let backslash = !self.mode.no_backslash_escapes;
        let token = match first {
            '`' => self.quoted('`', false).map(Token::Quoted),
            '"' => self.quoted('"', backslash && !self.mode.ansi_quotes).map(Token::DoubleQuoted),
            '\'' => self.quoted('\'', backslash).map(Token::Literal),
            c if is_word(c) => {
                let (word, rest) = self.rest.split_at(self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len()));
                self.rest = rest;
                Some(Token::Word(word))
            }
            c => {
                self.rest = &self.rest[c.len_utf8()..];
                Some(Token::Sign(c))
            }
        };
        if token.is_none() {
            self.rest = "";
        }
        Some(token)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// `--` starts a comment only before a blank or the end.
fn is_dash_comment(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|rest| rest.chars().next().is_none_or(|c| c.is_ascii_whitespace()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_vanish_and_versioned_comments_do_not() {
        let words: Vec<_> =
            tokens("/* a */ DROP /*!40005 TEMPORARY */ TABLE -- x\n `a``b` # y\n /*M!100100 z */").unwrap();
        assert_eq!(
            words,
            [
                Token::Word("DROP"),
                Token::Word("TEMPORARY"),
                Token::Word("TABLE"),
                Token::Quoted("a`b".into()),
                Token::Word("z")
            ]
        );
    }

    #[test]
    fn what_does_not_end_is_refused() {
        for sql in ["'a\\'", "`a", "\"a", "/* a", "a 'b"] {
            assert_eq!(tokens(sql), None, "{sql}");
        }
        assert_eq!(tokens("'a\\'b' 'c''d' 1-2").unwrap().len(), 5);
    }

    #[test]
    fn strings_are_read_by_the_mode() {
        let first = |sql, mode| placed(sql, mode).unwrap().remove(0).0;
        let (default, ansi) = (Mode::default(), Mode { ansi_quotes: true, ..Mode::default() });
        let bare = Mode { no_backslash_escapes: true, ..Mode::default() };
        assert_eq!(first(r"'a\n''\'\\'", default), Token::Literal("a\n''\\".into()));
        assert_eq!(first(r"'a\'", bare), Token::Literal("a\\".into()));
        assert_eq!(first(r#""a""b""#, ansi), Token::Quoted("a\"b".into()));
        assert_eq!(first(r#""a""b""#, default), Token::Literal("a\"b".into()));
        assert_eq!(
            Mode::from_bits(0x10_0004),
            Mode { ansi_quotes: true, no_backslash_escapes: true, other_types: false }
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(sql in ".{0,80}|[`'\"/*!M#\\\\ a-]{0,40}") {
            let _ = tokens(&sql);
        }
    }
}
