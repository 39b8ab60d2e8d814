//! The one map from source to target: which databases, tables, columns and rows are carried, and under which names.
//!
//! Everything that asks "is this replicated, and where to?" asks here: catalogue reading, snapshot, stream, verify.
//! Table patterns are `name` or `database.name` with `*` and `?`; a table is carried when an include pattern and no
//! exclude pattern matches. Names compare as the source spells them.

use crate::error::{Error, ErrorKind, Result};
use crate::ident::{TableName, TargetName};
use crate::masking::{Mask, MaskKey};
use crate::policy::PolicySettings;
use crate::value::ValueRef;
use std::collections::{BTreeMap, HashSet};

/// What is carried, and under which names.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Source database → target schema. Only these databases are carried.
    pub databases: BTreeMap<String, String>,
    /// Patterns of tables to carry; empty means all.
    pub include: Vec<String>,
    /// Patterns of tables to leave out; stronger than `include`.
    pub exclude: Vec<String>,
    /// Rules of single tables, by `table` or `database.table`.
    pub tables: BTreeMap<String, TableRule>,
    /// What is done about values that the target does not take as they are, where a column says nothing else.
    pub sanitize: PolicySettings,
    /// The key of hashes that stand for masked values.
    pub mask_key: Option<MaskKey>,
}

/// The rule of one table.
#[derive(Debug, Clone, Default)]
pub struct TableRule {
    /// The table's name on the target, if another.
    pub rename: Option<String>,
    /// Columns left out.
    pub exclude_columns: HashSet<String>,
    /// Source column → target column, where the name changes.
    pub rename_columns: BTreeMap<String, String>,
    /// Which rows are carried; all without it.
    pub rows: Option<RowFilter>,
    /// Rules of single columns, by the source's name.
    pub columns: BTreeMap<String, ColumnRule>,
}

/// The rule of one column.
#[derive(Debug, Clone, Default)]
pub struct ColumnRule {
    /// What is done about values that the target does not take as they are; stronger than [`Mapping::sanitize`].
    pub sanitize: PolicySettings,
    /// The PostgreSQL type it becomes, as typed; the default without it.
    pub ty: Option<String>,
    /// How it is masked; not at all without it.
    pub mask: Option<Mask>,
}

impl Mapping {
    /// Whether the table is carried. Shadow tables ([`is_shadow`]) are only where a pattern without wildcards names them.
    #[must_use]
    pub fn includes(&self, name: &TableName) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name));
        let named = || self.include.iter().any(|pattern| !pattern.contains(['*', '?']) && matches(pattern, name));
        self.databases.contains_key(&name.database)
            && (self.include.is_empty() || any(&self.include))
            && !any(&self.exclude)
            && (!is_shadow(&name.table) || named())
    }

    /// The table's rule, if one is written for it.
    #[must_use]
    pub fn rule(&self, name: &TableName) -> Option<&TableRule> {
        self.tables.get(&name.to_string()).or_else(|| self.tables.get(&name.table))
    }

    /// Where the table goes.
    #[must_use]
    pub fn target(&self, name: &TableName) -> TargetName {
        let schema = self.databases.get(&name.database).cloned().unwrap_or_else(|| name.database.clone());
        let table = self.rule(name).and_then(|rule| rule.rename.clone()).unwrap_or_else(|| name.table.clone());
        TargetName { schema, table: crate::ident::postgres_fit(&table) }
    }

    /// The target's name of a column; none when it is left out.
    #[must_use]
    pub fn column(&self, table: &TableName, column: &str) -> Option<String> {
        let Some(rule) = self.rule(table) else { return Some(crate::ident::postgres_fit(column)) };
        let dropped = rule.columns.get(column).is_some_and(|rule| rule.mask == Some(Mask::Drop));
        if dropped || rule.exclude_columns.contains(column) {
            return None;
        }
        let name = rule.rename_columns.get(column).map_or(column, String::as_str);
        Some(crate::ident::postgres_fit(name))
    }

    /// Whether the column's values must not be shown as they are: it is left out, or masked in any way.
    #[must_use]
    pub fn hides(&self, table: &TableName, column: &str) -> bool {
        let masked = self.column_rule(table, column).is_some_and(|rule| rule.mask.is_some());
        masked || self.rule(table).is_some_and(|rule| rule.exclude_columns.contains(column))
    }

    /// The column's rule, if one is written for it.
    #[must_use]
    pub fn column_rule(&self, table: &TableName, column: &str) -> Option<&ColumnRule> {
        self.rule(table)?.columns.get(column)
    }

    /// Which of its rows are carried; none means all.
    #[must_use]
    pub fn rows(&self, table: &TableName) -> Option<&RowFilter> {
        self.rule(table).and_then(|rule| rule.rows.as_ref())
    }
}

/// Whether it is called as the copies are that online schema changes work on: gh-ost's `_t_gho`, `_t_ghc` and `_t_del`,
/// pt-online-schema-change's `_t_new` and `_t_old`, the servers' own `#sql…`. Such a table gets its rows a second time, and
/// takes the place of the one that it was made from in the end.
#[must_use]
pub fn is_shadow(table: &str) -> bool {
    const ENDS: [&str; 5] = ["_gho", "_ghc", "_del", "_new", "_old"];
    table.starts_with("#sql") || (table.starts_with('_') && ENDS.iter().any(|end| table.ends_with(end)))
}

/// Whether `pattern` (`name` or `database.name`, with `*` and `?`) names the table.
#[must_use]
pub fn matches(pattern: &str, name: &TableName) -> bool {
    if glob(pattern, &name.table) {
        return true;
    }
    glob(pattern, &name.to_string()) && pattern.contains('.')
}

fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && (pattern[p] == '?' || pattern[p] == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Which rows of a table are carried: every term must hold, with SQL's rule that a comparison with NULL does not.
///
/// Evaluated on the source's values before conversion, alike for snapshot and stream, so it is deliberately small:
/// `column op literal` joined by AND. Text compares as bytes of its UTF-8 literal.
#[derive(Debug, Clone, PartialEq)]
pub struct RowFilter {
    /// The terms, joined by AND.
    pub terms: Vec<RowTerm>,
}

/// One comparison of a column.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTerm {
    /// The source column's name.
    pub column: String,
    /// The comparison.
    pub test: RowTest,
}

/// How a column is compared.
#[derive(Debug, Clone, PartialEq)]
pub enum RowTest {
    /// `IS NULL`
    IsNull,
    /// `IS NOT NULL`
    IsNotNull,
    /// `= != < <= > >=` with a literal.
    Compare(Comparison, Literal),
    /// `IN (…)`
    In(Vec<Literal>),
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A literal of a row filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// An integer.
    Int(i128),
    /// Text between single quotes.
    Text(String),
}

impl RowTest {
    /// Whether the value passes; `None` when this kind of value cannot be compared with the literal.
    #[must_use]
    pub fn passes(&self, value: ValueRef<'_>) -> Option<bool> {
        match self {
            Self::IsNull => Some(value == ValueRef::Null),
            Self::IsNotNull => Some(value != ValueRef::Null),
            Self::Compare(comparison, literal) => compare(value, literal, |order| comparison.holds(order)),
            Self::In(literals) => {
                let mut found = Some(false);
                for literal in literals {
                    match compare(value, literal, std::cmp::Ordering::is_eq) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => found = None,
                    }
                }
                found
            }
        }
    }
}

fn compare(value: ValueRef<'_>, literal: &Literal, holds: impl Fn(std::cmp::Ordering) -> bool) -> Option<bool> {
    match (value, literal) {
        (ValueRef::Null, _) => Some(false),
        (ValueRef::Int(a), Literal::Int(b)) => Some(holds(i128::from(a).cmp(b))),
        (ValueRef::UInt(a) | ValueRef::Bit(a) | ValueRef::Set(a), Literal::Int(b)) => Some(holds(i128::from(a).cmp(b))),
        (ValueRef::Enum(a), Literal::Int(b)) => Some(holds(i128::from(a).cmp(b))),
        (ValueRef::Bytes(a), Literal::Text(b)) => Some(holds(a.cmp(b.as_bytes()))),
        _ => None,
    }
}

impl std::str::FromStr for RowFilter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let tokens = tokens(text)?;
        let mut parser = Parser { text, tokens: &tokens, at: 0 };
        let mut terms = vec![parser.term()?];
        while parser.keyword("AND") {
            terms.push(parser.term()?);
        }
        if parser.at < tokens.len() {
            return Err(bad_filter(text, "expected AND or the end"));
        }
        Ok(Self { terms })
    }
}

fn bad_filter(text: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("row filter cannot be read: {text}"))
        .detail(why.to_owned())
        .with_hint("write terms like  status <> 'draft' AND id >= 100 AND note IS NOT NULL AND kind IN (1, 2)")
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Int(i128),
    Symbol(&'static str),
}

fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let used;
        if first == '\'' || first == '`' || first == '"' {
            let (content, length) = quoted(rest, first).ok_or_else(|| bad_filter(text, "a quote is not closed"))?;
            out.push(if first == '\'' { Token::Text(content) } else { Token::Quoted(content) });
            used = length;
        } else if let Some(symbol) =
            ["<>", "!=", "<=", ">=", "<", ">", "=", "(", ")", ","].iter().find(|symbol| rest.starts_with(**symbol))
        {
            out.push(Token::Symbol(symbol));
            used = symbol.len();
        } else {
            used = rest.find(|c: char| c.is_whitespace() || "<>=!(),'`\"".contains(c)).unwrap_or(rest.len());
            let word = &rest[..used];
            if used == 0 {
                return Err(bad_filter(text, "unexpected character"));
            }
            out.push(word.parse().map_or_else(|_| Token::Word(word.to_owned()), Token::Int));
        }
        rest = rest[used..].trim_start();
    }
    Ok(out)
}

/// The content of the quoted text at the start and its length in bytes, quotes included; a doubled quote stands for one.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            content.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            content.push(quote);
            chars.next();
        } else {
            return Some((content, at + 1));
        }
    }
    None
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn term(&mut self) -> Result<RowTerm> {
        let column = match self.next() {
            Some(Token::Word(name) | Token::Quoted(name)) => name,
            _ => return Err(bad_filter(self.text, "expected a column")),
        };
        if self.keyword("IS") {
            let test = if self.keyword("NOT") { RowTest::IsNotNull } else { RowTest::IsNull };
            return if self.keyword("NULL") {
                Ok(RowTerm { column, test })
            } else {
                Err(bad_filter(self.text, "expected NULL"))
            };
        }
        if self.keyword("IN") {
            let mut literals = Vec::new();
            let mut expected = "(";
            loop {
                if self.next() != Some(Token::Symbol(expected)) {
                    return Err(bad_filter(self.text, "expected a list in parentheses"));
                }
                literals.push(self.literal()?);
                expected = ",";
                if self.tokens.get(self.at) == Some(&Token::Symbol(")")) {
                    self.at += 1;
                    return Ok(RowTerm { column, test: RowTest::In(literals) });
                }
            }
        }
        let comparison = match self.next() {
            Some(Token::Symbol("=")) => Comparison::Equal,
            Some(Token::Symbol("<>" | "!=")) => Comparison::NotEqual,
            Some(Token::Symbol("<")) => Comparison::Less,
            Some(Token::Symbol("<=")) => Comparison::LessOrEqual,
            Some(Token::Symbol(">")) => Comparison::Greater,
            Some(Token::Symbol(">=")) => Comparison::GreaterOrEqual,
            _ => return Err(bad_filter(self.text, "expected = <> < <= > >= IN or IS")),
        };
        Ok(RowTerm { column, test: RowTest::Compare(comparison, self.literal()?) })
    }

    fn literal(&mut self) -> Result<Literal> {
        match self.next() {
            Some(Token::Int(number)) => Ok(Literal::Int(number)),
            Some(Token::Text(text)) => Ok(Literal::Text(text)),
            _ => Err(bad_filter(self.text, "expected a number or text in single quotes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(include: &[&str], exclude: &[&str]) -> Mapping {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Mapping {
            databases: BTreeMap::from([("lab".into(), "public".into())]),
            include: own(include),
            exclude: own(exclude),
            ..Mapping::default()
        }
    }

    #[test]
    fn exclude_is_stronger_than_include() {
        let map = mapping(&["*"], &["job*", "lab.cache"]);
        let carried = |table: &str| map.includes(&TableName::new("lab", table));
        assert!(carried("pasien"));
        assert!(!carried("jobs") && !carried("cache"));
        assert!(!map.includes(&TableName::new("other", "pasien")));
    }

    #[test]
    fn what_is_masked_or_left_out_is_hidden() {
        let mut map = mapping(&[], &[]);
        let mut rule = TableRule { exclude_columns: ["a".to_owned()].into(), ..TableRule::default() };
        for (column, mask) in [("b", Mask::Hmac), ("c", Mask::Null), ("d", Mask::Drop)] {
            rule.columns.insert(column.into(), ColumnRule { mask: Some(mask), ..ColumnRule::default() });
        }
        rule.columns.insert("e".into(), ColumnRule { ty: Some("text".into()), ..ColumnRule::default() });
        map.tables.insert("pasien".into(), rule);
        let table = TableName::new("lab", "pasien");
        assert_eq!(
            ["a", "b", "c", "d", "e", "f"].map(|c| map.hides(&table, c)),
            [true, true, true, true, false, false]
        );
        assert_eq!(["a", "b", "c", "d"].map(|c| map.column(&table, c).is_some()), [false, true, true, false]);
    }

    #[test]
    fn copies_of_online_schema_changes_are_left_out_unless_they_are_named() {
        let mut mapping =
            Mapping { databases: BTreeMap::from([("lab".into(), "public".into())]), ..Mapping::default() };
        for table in ["_hasil_gho", "_hasil_ghc", "_hasil_20260101_del", "__hasil_new", "_hasil_old", "#sql-1a2b"] {
            assert!(is_shadow(table) && !mapping.includes(&TableName::new("lab", table)), "{table}");
        }
        for table in ["hasil_old", "_hasil", "hasil_del", "_gholib"] {
            assert!(mapping.includes(&TableName::new("lab", table)), "{table}");
        }
        mapping.include = vec!["*".into(), "_hasil_old".into()];
        assert!(mapping.includes(&TableName::new("lab", "_hasil_old")));
        assert!(!mapping.includes(&TableName::new("lab", "_hasil_gho")));
    }

    #[test]
    fn row_filters_follow_sql_on_null() {
        let filter: RowFilter =
            "status <> 'it''s' AND id >= 10 AND kind IN (1, 2) and `the note` is not null".parse().unwrap();
        assert_eq!(filter.terms.len(), 4);
        assert_eq!(filter.terms[0].test.passes(ValueRef::Bytes(b"it's")), Some(false));
        assert_eq!(filter.terms[0].test.passes(ValueRef::Null), Some(false));
        assert_eq!(filter.terms[1].test.passes(ValueRef::UInt(10)), Some(true));
        assert_eq!(filter.terms[2].test.passes(ValueRef::Int(3)), Some(false));
        assert_eq!(filter.terms[2].test.passes(ValueRef::Double(1.0)), None);
        assert_eq!(filter.terms[3].column, "the note");
        for bad in ["", "a", "a =", "a = b", "a IN 1", "a = 1 OR b = 2", "a = 'x"] {
            assert!(bad.parse::<RowFilter>().is_err(), "{bad}");
        }
    }
}
