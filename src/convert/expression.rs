//! From MySQL's and MariaDB's expressions to PostgreSQL's: CHECK conditions, generated columns, parts of indexes.
//!
//! Enters: an expression as the catalogue prints it, and the planned columns. Leaves: SQL, or the reason why there is none.
//! Invariant: what is translated means the same, and a condition never refuses a row that the source takes. A wrong
//! translation is worse than none, so everything that is not known to be equal is refused.
//!
//! Text is compared by collations on the source and by bytes on the target: equal bytes are equal in every collation, so
//! `<>` lets at least as many rows pass here, `=` does only where the collation is binary without padding. Such a condition is
//! [`Fit::Wider`] or [`Fit::Narrower`]; NOT turns one into the other.

mod lex;

use super::plan::{PgType, PlannedColumn, Treatment};
use crate::ident;
use crate::policy::Policies;
use crate::schema::{Charset, SourceType, TableSchema};
use lex::{Token, tokens};

/// A table's columns on both sides.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub table: &'a TableSchema,
    pub planned: &'a [PlannedColumn],
}

/// Why there is no translation.
type Reason = String;

/// The condition of a CHECK constraint.
///
/// # Errors
/// Why it is not carried.
pub(super) fn condition(columns: Columns<'_>, text: &str) -> Result<String, Reason> {
    let node = parse(columns, text, false)?;
    match (node.kind, node.fit) {
        (Kind::Bool, Fit::Exact | Fit::Wider) => Ok(node.sql),
        (Kind::Bool, Fit::Narrower) => Err("texts that are equal on the source by its collation differ here".into()),
        _ => Err("a number or text taken for true or false".into()),
    }
}

/// An expression that has exactly the source's value.
///
/// # Errors
/// Why it is not carried.
pub(super) fn value(columns: Columns<'_>, text: &str) -> Result<String, Reason> {
    let node = parse(columns, text, false)?;
    let known = matches!(node.kind, Kind::Number { approximate: false } | Kind::Text { .. });
    if known && node.fit == Fit::Exact { Ok(node.sql) } else { Err("its type is not known to be the same".into()) }
}

/// A part of an index that promises nothing: functions that differ for rare letters are good enough.
///
/// # Errors
/// Why it is not carried.
pub(super) fn index_part(columns: Columns<'_>, text: &str) -> Result<String, Reason> {
    let node = parse(columns, text, true)?;
    if matches!(node.kind, Kind::Opaque) { Err("its type is not known to be the same".into()) } else { Ok(node.sql) }
}

/// A string or number alone, as text; none for anything else.
///
/// # Errors
/// As [`value`].
pub(super) fn constant(text: &str) -> Result<Option<String>, Reason> {
    Ok(match tokens(text)?.as_slice() {
        [Token::Text(text) | Token::Number(text)] => Some(text.clone()),
        [Token::Op("-"), Token::Number(number)] => Some(format!("-{number}")),
        _ => None,
    })
}

fn parse(columns: Columns<'_>, text: &str, loose: bool) -> Result<Node, Reason> {
    let tokens = tokens(text)?;
    let mut parser = Parser { columns, tokens: &tokens, at: 0, loose };
    let node = parser.or()?;
    match parser.tokens.get(parser.at) {
        None => Ok(node),
        Some(token) => Err(format!("{} is not translated", shown(token))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Name(_) => "a name".into(),
        Token::Word(word) => word.clone(),
        Token::Number(_) => "a number".into(),
        Token::Text(_) => "a string".into(),
        Token::Op(operator) => (*operator).into(),
    }
}

/// How many rows pass a condition here, against the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Exact,
    Wider,
    Narrower,
}

impl Fit {
    fn not(self) -> Self {
        match self {
            Self::Exact => Self::Exact,
            Self::Wider => Self::Narrower,
            Self::Narrower => Self::Wider,
        }
    }

    /// Of two conditions joined by AND or OR.
    fn with(self, other: Self) -> Result<Self, Reason> {
        match (self, other) {
            (Self::Exact, fit) | (fit, Self::Exact) => Ok(fit),
            (a, b) if a == b => Ok(a),
            _ => Err("it compares texts both ways".into()),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Number {
        approximate: bool,
    },
    /// `bytewise`: the collation compares bytes and pads nothing.
    Text {
        bytewise: bool,
    },
    Labels(Vec<String>),
    Moment(PgType),
    Bool,
    /// A column of which only NULL or not can be asked.
    Opaque,
}

#[derive(Debug, Clone)]
struct Node {
    kind: Kind,
    sql: String,
    fit: Fit,
    /// A constant's text.
    literal: Option<String>,
    /// Whether it may be asked for NULL: a column whose values never become NULL on their way.
    keeps_null: bool,
}

impl Node {
    fn new(kind: Kind, sql: String) -> Self {
        Self { kind, sql, fit: Fit::Exact, literal: None, keeps_null: false }
    }

    fn condition(sql: String, fit: Fit) -> Self {
        Self { fit, ..Self::new(Kind::Bool, sql) }
    }

    /// For arithmetic, which must not overflow here where it does not there.
    fn numeric(&self) -> Result<String, Reason> {
        match self.kind {
            Kind::Number { approximate: false } => Ok(format!("({})::numeric", self.sql)),
            _ => Err("arithmetic on what is no exact number".into()),
        }
    }
}

struct Parser<'a> {
    columns: Columns<'a>,
    tokens: &'a [Token],
    at: usize,
    loose: bool,
}

impl Parser<'_> {
    fn takes(&mut self, wanted: &str) -> bool {
        let found = match self.tokens.get(self.at) {
            Some(Token::Op(operator)) => *operator == wanted,
            Some(Token::Word(word)) => word == wanted,
            _ => false,
        };
        self.at += usize::from(found);
        found
    }

    fn takes_one(&mut self, wanted: &[&'static str]) -> Option<&'static str> {
        wanted.iter().copied().find(|wanted| self.takes(wanted))
    }

    fn expect(&mut self, wanted: &str) -> Result<(), Reason> {
        if self.takes(wanted) {
            return Ok(());
        }
        match self.tokens.get(self.at) {
            Some(token) => Err(format!("{} is not translated", shown(token))),
            None => Err("it ends too early".into()),
        }
    }

    fn or(&mut self) -> Result<Node, Reason> {
        let mut left = self.and()?;
        while self.takes("or") || self.takes("||") {
            left = joined(left, "OR", self.and()?)?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Node, Reason> {
        let mut left = self.not()?;
        while self.takes("and") || self.takes("&&") {
            left = joined(left, "AND", self.not()?)?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Node, Reason> {
        if self.takes("not") {
            return negated(self.not()?);
        }
        self.predicate()
    }

    fn predicate(&mut self) -> Result<Node, Reason> {
        let left = self.sum()?;
        if let Some(operator) = self.takes_one(&["<=>", "<>", "!=", "<=", ">=", "=", "<", ">"]) {
            let right = self.sum()?;
            return compared(&left, operator, &right);
        }
        if self.takes("is") {
            let not = if self.takes("not") { " NOT" } else { "" };
            self.expect("null")?;
            if !left.keeps_null {
                return Err("NULL is asked of what may become NULL on its way".into());
            }
            return Ok(Node::condition(format!("({} IS{not} NULL)", left.sql), Fit::Exact));
        }
        let not = self.takes("not");
        let found = if self.takes("in") {
            self.expect("(")?;
            let mut any: Option<Node> = None;
            loop {
                let equal = compared(&left, "=", &self.sum()?)?;
                any = Some(match any {
                    Some(node) => joined(node, "OR", equal)?,
                    None => equal,
                });
                if !self.takes(",") {
                    break;
                }
            }
            self.expect(")")?;
            any.ok_or("an empty list")?
        } else if self.takes("between") {
            let low = self.sum()?;
            self.expect("and")?;
            let high = self.sum()?;
            joined(compared(&left, ">=", &low)?, "AND", compared(&left, "<=", &high)?)?
        } else if not {
            self.expect("in")?;
            return Err("not is not translated here".into());
        } else {
            return Ok(left);
        };
        if not { negated(found) } else { Ok(found) }
    }

    fn sum(&mut self) -> Result<Node, Reason> {
        let mut left = self.product()?;
        while let Some(operator) = self.takes_one(&["+", "-"]) {
            left = computed(&left, operator, &self.product()?)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Node, Reason> {
        let mut left = self.unary()?;
        while let Some(operator) = self.takes_one(&["*", "%"]) {
            let right = self.unary()?;
            if operator == "%" && right.literal.as_deref().is_none_or(|n| n.bytes().all(|c| c == b'0' || c == b'.')) {
                return Err("a remainder by what may be 0".into());
            }
            left = computed(&left, operator, &right)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, Reason> {
        if !self.takes("-") {
            return self.primary();
        }
        let node = self.unary()?;
        match (&node.kind, &node.literal) {
            (Kind::Number { .. }, Some(number)) if !number.starts_with('-') => {
                let sql = format!("(-{number})");
                Ok(Node { literal: Some(format!("-{number}")), sql, ..node })
            }
            _ => Ok(Node::new(Kind::Number { approximate: false }, format!("(- {})", node.numeric()?))),
        }
    }

    fn primary(&mut self) -> Result<Node, Reason> {
        let token = self.tokens.get(self.at).ok_or("it ends too early")?;
        self.at += 1;
        match token {
            Token::Op("(") => {
                let node = self.or()?;
                self.expect(")")?;
                Ok(node)
            }
            Token::Name(name) => column(self.columns, name),
            Token::Number(number) => Ok(Node {
                literal: Some(number.clone()),
                ..Node::new(Kind::Number { approximate: false }, number.clone())
            }),
            Token::Text(text) if text.contains('\0') => Err("a string with a NUL character".into()),
            Token::Text(text) => {
                Ok(Node { literal: Some(text.clone()), ..Node::new(Kind::Text { bytewise: true }, literal(text)) })
            }
            Token::Word(name) if self.takes("(") => {
                let mut arguments = Vec::new();
                while !self.takes(")") {
                    if !arguments.is_empty() {
                        self.expect(",")?;
                    }
                    arguments.push(self.or()?);
                }
                self.function(name, &arguments)
            }
            token => Err(format!("{} is not translated", shown(token))),
        }
    }

    fn function(&self, name: &str, arguments: &[Node]) -> Result<Node, Reason> {
        let number = |sql| Ok(Node::new(Kind::Number { approximate: false }, sql));
        let text = |node: &Node| matches!(node.kind, Kind::Text { .. });
        match (name, arguments) {
            ("char_length" | "character_length", [of]) if text(of) => number(format!("char_length({})", of.sql)),
            ("length" | "octet_length", [of]) if text(of) && self.is_utf8(of) => {
                number(format!("octet_length({})", of.sql))
            }
            ("abs", [of]) => number(format!("abs({})", of.numeric()?)),
            ("coalesce" | "ifnull", [_, ..]) => {
                let all: Vec<String> = arguments.iter().map(Node::numeric).collect::<Result<_, _>>()?;
                number(format!("COALESCE({})", all.join(", ")))
            }
            ("concat", [_, ..]) if arguments.iter().all(text) => {
                let all: Vec<&str> = arguments.iter().map(|node| node.sql.as_str()).collect();
                Ok(Node::new(Kind::Text { bytewise: false }, format!("({})", all.join(" || "))))
            }
            ("lower" | "lcase", [of]) if self.loose && text(of) => {
                Ok(Node::new(Kind::Text { bytewise: false }, format!("lower({})", of.sql)))
            }
            ("upper" | "ucase", [of]) if self.loose && text(of) => {
                Ok(Node::new(Kind::Text { bytewise: false }, format!("upper({})", of.sql)))
            }
            _ => Err(format!("the function {name} is not translated")),
        }
    }

    /// Whether a text has as many bytes on the source as here.
    fn is_utf8(&self, node: &Node) -> bool {
        let utf8 = |charset: &Charset| ["utf8mb4", "utf8mb3", "utf8", "ascii"].contains(&charset.name.as_str());
        let is = |column: &&PlannedColumn| ident::postgres(&column.name) == node.sql;
        let column =
            self.columns.planned.iter().find(is).and_then(|found| self.columns.table.columns.get(found.source));
        column.is_some_and(|column| column.ty.charset().is_some_and(utf8))
    }
}

/// `'…'`, also where backslashes would escape.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

fn column(columns: Columns<'_>, name: &str) -> Result<Node, Reason> {
    let source = columns.table.column(name).ok_or_else(|| format!("there is no column {name}"))?;
    let planned = columns.planned.iter().find(|column| column.source == source);
    let planned = planned.ok_or_else(|| format!("column {name} is not carried"))?;
    if planned.treatment != Treatment::Plain {
        return Err(format!("column {name} does not hold the source's values"));
    }
    let ty = &columns.table.columns[source].ty;
    let untouched = planned.policies == Policies::defaults(planned.nullable, planned.unique);
    let integer = matches!(planned.ty, PgType::SmallInt | PgType::Integer | PgType::BigInt | PgType::Numeric { .. });
    let kind = match (ty, &planned.ty) {
        (SourceType::Int { .. } | SourceType::Decimal { .. }, _) if integer => Kind::Number { approximate: false },
        (SourceType::Float | SourceType::Double, PgType::Real | PgType::Double) => Kind::Number { approximate: true },
        (SourceType::Char { charset, .. } | SourceType::VarChar { charset, .. }, PgType::Varchar(_) | PgType::Text) => {
            Kind::Text { bytewise: bytewise(charset) }
        }
        (SourceType::Text { charset, .. }, PgType::Text) => Kind::Text { bytewise: bytewise(charset) },
        (SourceType::Enum { labels }, PgType::Text | PgType::Enum(_)) => Kind::Labels(labels.clone()),
        // in a NOT NULL column a date stands for what is none; elsewhere NULL, which passes
        (SourceType::Date | SourceType::DateTime { .. }, PgType::Date | PgType::Timestamp(_))
            if untouched && planned.nullable =>
        {
            Kind::Moment(planned.ty.clone())
        }
        _ => Kind::Opaque,
    };
    let keeps_null = untouched && !ty.has_date();
    Ok(Node { keeps_null, ..Node::new(kind, ident::postgres(&planned.name)) })
}

/// Whether a collation tells apart what differs in bytes, trailing blanks too.
fn bytewise(charset: &Charset) -> bool {
    charset.collation == "utf8mb4_0900_bin" || (charset.is_binary() && charset.collation.contains("nopad"))
}

fn joined(left: Node, operator: &str, right: Node) -> Result<Node, Reason> {
    if left.kind != Kind::Bool || right.kind != Kind::Bool {
        return Err("a number or text taken for true or false".into());
    }
    let fit = left.fit.with(right.fit)?;
    Ok(Node::condition(format!("({} {operator} {})", left.sql, right.sql), fit))
}

fn negated(node: Node) -> Result<Node, Reason> {
    if node.kind != Kind::Bool {
        return Err("a number or text taken for true or false".into());
    }
    Ok(Node::condition(format!("(NOT {})", node.sql), node.fit.not()))
}

fn computed(left: &Node, operator: &str, right: &Node) -> Result<Node, Reason> {
    let sql = format!("({} {operator} {})", left.numeric()?, right.numeric()?);
    Ok(Node::new(Kind::Number { approximate: false }, sql))
}

fn compared(left: &Node, operator: &str, right: &Node) -> Result<Node, Reason> {
    let operator = if operator == "!=" { "<>" } else { operator };
    if operator == "<=>" {
        return Err("<=> is not translated".into());
    }
    let equality = operator == "=" || operator == "<>";
    let of = |fit| Ok(Node::condition(format!("({} {operator} {})", left.sql, right.sql), fit));
    match (&left.kind, &right.kind) {
        (Kind::Number { approximate: false }, Kind::Number { approximate: false }) => of(Fit::Exact),
        (Kind::Number { .. }, Kind::Number { .. }) => {
            let whole = |node: &Node| node.literal.as_deref().is_some_and(|number| !number.contains('.'));
            if whole(left) || whole(right) { of(Fit::Exact) } else { Err("a comparison of rounded numbers".into()) }
        }
        (Kind::Labels(labels), Kind::Text { .. }) | (Kind::Text { .. }, Kind::Labels(labels)) if equality => {
            let text = left.literal.as_ref().or(right.literal.as_ref());
            match text {
                Some(text) if labels.contains(text) => of(Fit::Exact),
                _ => Err("an ENUM compared with what is none of its labels".into()),
            }
        }
        (Kind::Text { bytewise: a }, Kind::Text { bytewise: b }) if equality => of(match (a & b, operator) {
            (true, _) => Fit::Exact,
            (false, "=") => Fit::Narrower,
            (false, _) => Fit::Wider,
        }),
        (Kind::Moment(a), Kind::Moment(b)) if a == b => of(Fit::Exact),
        (Kind::Moment(ty), Kind::Text { .. }) => {
            let text = right.literal.as_deref().filter(|text| is_moment(text, ty)).ok_or("a date of another form")?;
            // without a precision, which would round
            let ty = if *ty == PgType::Date { "date" } else { "timestamp without time zone" };
            Ok(Node::condition(format!("({} {operator} {}::{ty})", left.sql, literal(text)), Fit::Exact))
        }
        _ => Err("a comparison of different types".into()),
    }
}

/// Whether a text is a date (with a time of day) in the form that both servers read alike.
pub(super) fn is_moment(text: &str, ty: &PgType) -> bool {
    match ty {
        _ if text.starts_with("0000") => false, // PostgreSQL has no year 0
        PgType::Date => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        _ if text.len() == 10 => text.parse::<jiff::civil::Date>().is_ok(),
        _ => text.as_bytes().get(10) == Some(&b' ') && text.parse::<jiff::civil::DateTime>().is_ok(),
    }
}

#[cfg(test)]
#[path = "expression_tests.rs"]
mod tests;
