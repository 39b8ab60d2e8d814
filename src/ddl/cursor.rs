//! A cursor over the words of a statement: what the parsers of tables and columns have in common.

use super::Unread;
use super::statement::{CharsetClause, Name};
use super::words::{Mode, Token, placed};

type Read<T> = Result<T, Unread>;

/// Words, and how far they have been read.
pub(super) struct Cursor<'a> {
    sql: &'a str,
    words: Vec<(Token<'a>, usize, usize)>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(sql: &'a str, mode: Mode) -> Read<Self> {
        let mut words = placed(sql, mode).ok_or_else(|| Unread::new("a quote or a comment does not end"))?;
        while words.last().is_some_and(|(token, ..)| *token == Token::Sign(';')) {
            words.pop();
        }
        Ok(Self { sql, words, at: 0 })
    }

    pub fn peek(&self) -> Option<&Token<'a>> {
        self.ahead(0)
    }

    pub fn ahead(&self, by: usize) -> Option<&Token<'a>> {
        self.words.get(self.at + by).map(|(token, ..)| token)
    }

    pub fn is_at_end(&self) -> bool {
        self.at >= self.words.len()
    }

    pub fn place(&self) -> usize {
        self.at
    }

    pub fn back_to(&mut self, place: usize) {
        self.at = place;
    }

    pub fn advance(&mut self) -> Option<&Token<'a>> {
        let token = self.words.get(self.at).map(|(token, ..)| token);
        self.at += usize::from(token.is_some());
        token
    }

    pub fn at(&self, keyword: &str) -> bool {
        self.peek().is_some_and(|token| token.is(keyword))
    }

    pub fn at_sign(&self, sign: char) -> bool {
        self.peek() == Some(&Token::Sign(sign))
    }

    pub fn at_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.at(keyword))
    }

    /// Takes these keywords if all stand here.
    pub fn take(&mut self, keywords: &str) -> bool {
        let mut count = 0;
        for keyword in keywords.split(' ') {
            if !self.ahead(count).is_some_and(|token| token.is(keyword)) {
                return false;
            }
            count += 1;
        }
        self.at += count;
        true
    }

    pub fn take_any(&mut self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.take(keyword))
    }

    pub fn sign(&mut self, sign: char) -> bool {
        let there = self.at_sign(sign);
        self.at += usize::from(there);
        there
    }

    pub fn expect(&mut self, keywords: &str) -> Read<()> {
        if self.take(keywords) { Ok(()) } else { Err(self.unread(keywords)) }
    }

    pub fn expect_sign(&mut self, sign: char) -> Read<()> {
        if self.sign(sign) { Ok(()) } else { Err(self.unread(&sign.to_string())) }
    }

    /// A refusal that shows where it stopped.
    pub fn unread(&self, wanted: &str) -> Unread {
        let rest = self.words.get(self.at).map_or("", |(_, start, _)| &self.sql[*start..]);
        // literals may be somebody's data
        let near: String = rest.chars().take_while(|c| !matches!(c, '\'' | '"')).take(40).collect();
        let here = if near.is_empty() { "the end".to_owned() } else { format!("“{near}”") };
        Unread::new(format!("{wanted} is expected at {here}"))
    }

    pub fn name(&mut self) -> Read<String> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let name = (*word).to_owned();
                self.at += 1;
                Ok(name)
            }
            Some(Token::Quoted(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unread("a name")),
        }
    }

    /// `[database.]table`.
    pub fn table(&mut self) -> Read<Name> {
        let first = self.name()?;
        if self.sign('.') {
            return Ok(Name { database: Some(first), table: self.name()? });
        }
        Ok(Name { database: None, table: first })
    }

    /// A column's name, perhaps behind those of its table and database.
    pub fn column(&mut self) -> Read<String> {
        let mut name = self.name()?;
        while self.sign('.') {
            name = self.name()?;
        }
        Ok(name)
    }

    /// A string, or several that stand side by side.
    pub fn string(&mut self) -> Read<String> {
        let mut text = String::new();
        let start = self.at;
        while let Some(Token::Literal(part)) = self.words.get(self.at).map(|(token, ..)| token) {
            text.push_str(part);
            self.at += 1;
        }
        if self.at == start { Err(self.unread("a string")) } else { Ok(text) }
    }

    pub fn number(&mut self) -> Read<u64> {
        let number = match self.peek() {
            Some(Token::Word(word)) => word.parse().ok(),
            _ => None,
        };
        self.at += usize::from(number.is_some());
        number.ok_or_else(|| self.unread("a number"))
    }

    pub fn if_exists(&mut self) -> bool {
        self.take("IF EXISTS")
    }

    pub fn if_not_exists(&mut self) -> bool {
        self.take("IF NOT EXISTS")
    }

    /// What stands in the parentheses that open here, as text.
    pub fn group(&mut self) -> Read<String> {
        let open = self.at;
        self.skip_group()?;
        let (start, end) = (self.words[open].2, self.words[self.at - 1].1);
        Ok(self.sql[start..end].trim().to_owned())
    }

    pub fn skip_group(&mut self) -> Read<()> {
        if !self.at_sign('(') {
            return Err(self.unread("("));
        }
        let mut depth = 0_usize;
        while let Some(token) = self.advance() {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(self.unread(")"))
    }

    /// Skips to the first place outside parentheses at which `stop` holds, or the end; gives the text.
    pub fn skip_until(&mut self, stop: impl Fn(&Token<'_>) -> bool) -> Read<String> {
        let start = self.words.get(self.at).map_or(self.sql.len(), |(_, start, _)| *start);
        let mut end = start;
        while let Some(token) = self.peek() {
            if stop(token) || *token == Token::Sign(')') {
                break;
            }
            if *token == Token::Sign('(') {
                self.skip_group()?;
            } else {
                self.at += 1;
            }
            end = self.words[self.at - 1].2;
        }
        Ok(self.sql[start..end].to_owned())
    }

    /// The text of the words from `place` to here.
    pub fn text_from(&self, place: usize) -> &'a str {
        match (self.words.get(place), self.at.checked_sub(1).and_then(|last| self.words.get(last))) {
            (Some((_, start, _)), Some((.., end))) if start <= end => &self.sql[*start..*end],
            _ => "",
        }
    }

    /// `CHARACTER SET x`, `CHARSET x`, `COLLATE x`, each with an optional `=`; false when none stands here.
    pub fn charset(&mut self, clause: &mut CharsetClause) -> Read<bool> {
        if self.take_any(&["CHARACTER SET", "CHARSET", "CHAR SET"]) {
            self.sign('=');
            if self.take("DEFAULT") {
                clause.reset = true;
            } else {
                clause.name = Some(self.name_or_string()?.to_ascii_lowercase());
            }
        } else if self.take("COLLATE") {
            self.sign('=');
            if !self.take("DEFAULT") {
                clause.collation = Some(self.name_or_string()?.to_ascii_lowercase());
            }
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    pub fn name_or_string(&mut self) -> Read<String> {
        if matches!(self.peek(), Some(Token::Literal(_))) { self.string() } else { self.name() }
    }
}
