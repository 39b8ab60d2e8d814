//! Equality of rows: field by field where both are at hand, by digest where one has to be remembered.
//!
//! Fields are compared as their binary bytes; `json` and `jsonb` as values, since their text may differ. Digests are
//! seeded anew in each process. Two different rows have one 128-bit digest with a chance of 2⁻¹²⁸; of two different
//! keys the 64-bit hash is the same with a chance of 2⁻⁶⁴, so among a hundred million keys one that is only on the
//! target is overlooked with a chance of about 5·10⁻¹².

use crate::convert::compare::{json_digest, json_equal};
use crate::convert::plan::{PgType, TablePlan};
use foldhash::quality::FixedState;
use std::hash::{BuildHasher, Hasher, RandomState};

/// How a column's bytes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bytes,
    /// Text.
    Json,
    /// A version byte, then text.
    Jsonb,
}

impl Kind {
    /// The JSON text within a value of `json` or `jsonb`.
    fn json(self, value: &[u8]) -> Option<&[u8]> {
        match self {
            Self::Bytes => None,
            Self::Json => Some(value),
            Self::Jsonb => Some(value.get(1..).unwrap_or_default()),
        }
    }
}

/// Compares and digests rows of one table.
#[derive(Debug)]
pub struct Digester {
    kinds: Vec<Kind>,
    seeds: Seeds,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Seeds(FixedState, FixedState);

impl Seeds {
    fn of<T: std::hash::Hash + ?Sized>(&self, value: &T) -> u128 {
        u128::from(self.0.hash_one(value)) << 64 | u128::from(self.1.hash_one(value))
    }
}

impl Digester {
    /// For rows of the plan's columns.
    #[must_use]
    pub fn new(plan: &TablePlan) -> Self {
        let kind = |ty: &PgType| match ty {
            PgType::Json => Kind::Json,
            PgType::Jsonb => Kind::Jsonb,
            _ => Kind::Bytes,
        };
        let seed = || FixedState::with_seed(RandomState::new().build_hasher().finish());
        let kinds = plan.columns.iter().map(|column| kind(&column.ty)).collect();
        Self { kinds, seeds: Seeds(seed(), seed()), scratch: Vec::new() }
    }

    /// Whether two rows are equal.
    pub fn same<'a>(
        &self,
        a: impl Iterator<Item = Option<&'a [u8]>>,
        b: impl Iterator<Item = Option<&'a [u8]>>,
    ) -> bool {
        a.zip(b).zip(&self.kinds).all(|((a, b), kind)| match (a, b) {
            (Some(a), Some(b)) => {
                a == b || matches!((kind.json(a), kind.json(b)), (Some(a), Some(b)) if json_equal(a, b))
            }
            (a, b) => a == b,
        })
    }

    /// The digest of a row.
    pub fn row<'a>(&mut self, fields: impl Iterator<Item = Option<&'a [u8]>>) -> u128 {
        let Self { kinds, seeds, scratch } = self;
        scratch.clear();
        for (field, kind) in fields.zip(kinds) {
            let Some(value) = field else {
                scratch.push(0);
                continue;
            };
            if let Some(text) = kind.json(value) {
                scratch.push(1);
                scratch.extend_from_slice(&json_digest(text, |part| seeds.of(part)).to_ne_bytes());
            } else {
                scratch.push(2);
                scratch.extend_from_slice(&value.len().to_ne_bytes());
                scratch.extend_from_slice(value);
            }
        }
        seeds.of(&scratch[..])
    }

    /// The hash of a key's fields.
    #[must_use]
    pub fn key(&self, fields: &[u8]) -> u64 {
        self.seeds.0.hash_one(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::plan::{PlannedColumn, Treatment};
    use crate::convert::sample::table;
    use crate::ident::TargetName;
    use crate::policy::Policies;
    use std::sync::Arc;

    fn digester(types: &[PgType]) -> Digester {
        let column = |ty: &PgType| PlannedColumn {
            source: 0,
            name: String::new(),
            ty: ty.clone(),
            nullable: true,
            unique: false,
            policies: Policies::defaults(true, false),
            treatment: Treatment::Plain,
        };
        Digester::new(&TablePlan {
            source: Arc::new(table("t", &[])),
            target: TargetName::new("public", "t"),
            columns: types.iter().map(column).collect(),
            key: Vec::new(),
            key_is_primary: false,
            indexes: Vec::new(),
            rows: Vec::new(),
            objects: crate::convert::objects::Objects::default(),
        })
    }

    #[test]
    fn digest_and_comparison_agree() {
        let mut digester = digester(&[PgType::Text, PgType::Jsonb, PgType::Json]);
        let rows: [[Option<&[u8]>; 3]; 7] = [
            [Some(b"a"), Some(b"\x01{\"x\":1,\"y\":[1.0]}"), Some(b"1")],
            [Some(b"a"), Some(b"\x01{\"y\": [1], \"x\": 1}"), Some(b"1.0")],
            [Some(b"a"), Some(b"\x01{\"y\": [2], \"x\": 1}"), Some(b"1.0")],
            [None, Some(b"\x01null"), None],
            [Some(b""), Some(b"\x01null"), None],
            [Some(b""), None, Some(b"null")],
            [Some(b"a1"), Some(b"\x01null"), None],
        ];
        for (i, a) in rows.iter().enumerate() {
            for (j, b) in rows.iter().enumerate() {
                let equal = i == j || i + j == 1;
                let (a, b) = (|| a.iter().copied(), || b.iter().copied());
                assert_eq!(digester.same(a(), b()), equal, "{i} {j}");
                assert_eq!(digester.row(a()) == digester.row(b()), equal, "{i} {j}");
            }
        }
    }
}
