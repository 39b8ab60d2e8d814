//! The words of an SQL statement, just well enough to tell which tables it names.
//!
//! Comments vanish; versioned comments (`/*!40000 … */`, `/*M!… */`) count as text, since the server executed them.
//! String literals are taken with backslash escapes, the default; a statement in which that goes wrong ends inside a
//! string and gives `None`, and then the caller cannot tell and fails closed.

/// One word, name, literal or sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, number or unquoted name.
    Word(&'a str),
    /// A name in backticks.
    Quoted(String),
    /// `"…"`: a name under ANSI_QUOTES, a string otherwise.
    DoubleQuoted(String),
    /// A string literal; what it says is nobody's business.
    Literal,
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

/// Takes a statement apart; `None` when a quote or comment does not end.
pub(super) fn tokens(sql: &str) -> Option<Vec<Token<'_>>> {
    Tokens { rest: sql }.collect()
}

/// An iterator over the words, ending after the first error.
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub fn new(sql: &'a str) -> Self {
        Self { rest: sql }
    }

    /// Drops blanks and comments, and the marks around versioned comments. False when a comment does not end.
    fn skip_blanks(&mut self) -> bool {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
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
                text.push(chars.next()?.1);
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
        let first = self.rest.chars().next()?;
        let token = match first {
            '`' => self.quoted('`', false).map(Token::Quoted),
            '"' => self.quoted('"', true).map(Token::DoubleQuoted),
            '\'' => self.quoted('\'', true).map(|_| Token::Literal),
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

    proptest! {
        #[test]
        fn no_text_makes_it_panic(sql in ".{0,80}|[`'\"/*!M#\\\\ a-]{0,40}") {
            let _ = tokens(&sql);
        }
    }
}
