//! The policies of one column: its own settings over the general ones over the defaults, checked against what it is.
//!
//! A general setting holds for what can follow it: in columns of a key or a unique index only `fail` and `quarantine` do.
//! What is asked of a column by name and cannot be done is an error, and so is a general `null` where a column that can
//! have the reason is NOT NULL.

use super::plan::PgType;
use super::typemap::config;
use crate::error::Result;
use crate::mapping::Mapping;
use crate::policy::{Policies, Policy, Reason};
use crate::schema::{Column, SourceType, TableSchema};

/// What is done about each reason in a column that becomes `ty`.
///
/// # Errors
/// [`crate::error::ErrorKind::Config`], with a hint that mends it.
pub(super) fn of(table: &TableSchema, column: &Column, ty: &PgType, unique: bool, map: &Mapping) -> Result<Policies> {
    let mut policies = Policies::defaults(column.nullable, unique);
    for (reason, policy) in &map.sanitize {
        let stands = !unique || matches!(policy, Policy::Fail | Policy::Quarantine);
        if stands && possible(*reason, &column.ty, ty) {
            check(table, column, *reason, *policy)?;
            policies.set(*reason, *policy);
        }
    }
    let own = map.rule(&table.name).and_then(|rule| rule.columns.get(&column.name));
    for (reason, policy) in own.iter().flat_map(|rule| &rule.sanitize) {
        if unique && !matches!(policy, Policy::Fail | Policy::Quarantine) {
            return Err(config(
                table,
                column,
                &format!("{} = \"{}\" in a key or unique index", reason.name(), policy.name()),
            )
            .detail("changed to fit, two different values could become one")
            .with_hint(format!("{} = \"quarantine\" or \"fail\" there", reason.name())));
        }
        check(table, column, *reason, *policy)?;
        policies.set(*reason, *policy);
    }
    Ok(policies)
}

fn check(table: &TableSchema, column: &Column, reason: Reason, policy: Policy) -> Result<()> {
    let name = reason.name();
    if policy == Policy::Null && !column.nullable {
        return Err(config(table, column, &format!("{name} = \"null\" in a column that is NOT NULL")).with_hint(
            format!(
                "[tables.rules.\"{}\".columns.\"{}\"] sanitize = {{ {name} = \"replace\" }}, or leave {name} out of \
             [sanitize]: its default knows which columns are NOT NULL",
                table.name.table, column.name
            ),
        ));
    }
    if policy == Policy::Replace && reason == Reason::TooLong {
        return Err(config(table, column, "too_long = \"replace\": nothing shorter stands for a value")
            .with_hint("too_long = \"null\", \"quarantine\" or \"fail\""));
    }
    Ok(())
}

/// Whether a value of the column can have the reason.
fn possible(reason: Reason, from: &SourceType, to: &PgType) -> bool {
    let text = from.charset().is_some_and(|charset| charset.name != "binary");
    let json = matches!(from, SourceType::Json { .. });
    match reason {
        Reason::ZeroDate => {
            matches!(from, SourceType::Date | SourceType::DateTime { .. } | SourceType::Timestamp { .. })
        }
        Reason::InvalidDate => matches!(from, SourceType::Date | SourceType::DateTime { .. }),
        Reason::NulByte | Reason::InvalidBytes => text || json,
        Reason::LoneSurrogate | Reason::InvalidJson => json,
        Reason::EnumZero => matches!(from, SourceType::Enum { .. }),
        Reason::OutOfRange => {
            matches!(from, SourceType::Int { bytes: 8.., unsigned: true, .. }) && *to == PgType::BigInt
        }
        Reason::NotBoolean => matches!(from, SourceType::Int { .. }) && *to == PgType::Boolean,
        Reason::NotTimeOfDay => matches!(to, PgType::Time(_)),
        Reason::TooLong => {
            json || matches!(from, SourceType::Text { .. } | SourceType::Blob { .. } | SourceType::Geometry)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{int, mapping, table, varchar};
    use super::super::typemap::{TypeOptions, plan};
    use super::*;
    use crate::error::Error;
    use crate::mapping::{ColumnRule, TableRule};
    use crate::policy::PolicySettings;
    use crate::schema::Catalog;

    /// `id bigint unsigned key, name varchar null, born date not null, died date null`: the policies of one column.
    fn policies(general: &[(Reason, Policy)], column: usize, own: &[(Reason, Policy)]) -> Result<Policies, Error> {
        let columns = ["id", "name", "born", "died"];
        let source = table(
            "t",
            &[("id", int(8, true)), ("name?", varchar(5)), ("born", SourceType::Date), ("died?", SourceType::Date)],
        );
        let rule = ColumnRule { sanitize: own.iter().copied().collect(), ..ColumnRule::default() };
        let rule = TableRule { columns: [(columns[column].to_owned(), rule)].into(), ..TableRule::default() };
        let map = Mapping { sanitize: general.iter().copied().collect::<PolicySettings>(), ..mapping([("t", rule)]) };
        let plans = plan(&Catalog { tables: vec![source.primary(&[0])] }, &map, &TypeOptions::default())?;
        Ok(plans[0].columns[column].policies)
    }

    #[test]
    fn the_column_speaks_before_the_general_setting() {
        let general = [(Reason::NulByte, Policy::Fail)];
        assert_eq!(policies(&general, 1, &[]).unwrap().of(Reason::NulByte), Policy::Fail);
        let own = [(Reason::NulByte, Policy::Null)];
        assert_eq!(policies(&general, 1, &own).unwrap().of(Reason::NulByte), Policy::Null);
        assert_eq!(policies(&[], 2, &[]).unwrap().of(Reason::ZeroDate), Policy::Replace);
        assert_eq!(policies(&[], 3, &[]).unwrap().of(Reason::ZeroDate), Policy::Null);
    }

    #[test]
    fn keys_are_never_repaired() {
        let general = [(Reason::OutOfRange, Policy::Replace), (Reason::NulByte, Policy::Null)];
        assert_eq!(policies(&general, 0, &[]).unwrap().of(Reason::OutOfRange), Policy::Quarantine);
        let fail = [(Reason::OutOfRange, Policy::Fail)];
        assert_eq!(policies(&fail, 0, &[]).unwrap().of(Reason::OutOfRange), Policy::Fail);
        let error = policies(&[], 0, &[(Reason::OutOfRange, Policy::Replace)]).unwrap_err();
        assert!(error.message().contains("lab.t.id: out_of_range = \"replace\" in a key"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("quarantine")));
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (general, own) in
            [(vec![(Reason::ZeroDate, Policy::Null)], vec![]), (vec![], vec![(Reason::ZeroDate, Policy::Null)])]
        {
            let error = policies(&general, 2, &own).unwrap_err();
            assert!(error.message().contains("lab.t.born") && error.hint().unwrap().contains("replace"), "{error}");
        }
        assert!(policies(&[], 1, &[(Reason::TooLong, Policy::Replace)]).is_err());
    }

    #[test]
    fn a_rule_for_no_column_is_refused() {
        let rule = TableRule { columns: [("nmae".to_owned(), ColumnRule::default())].into(), ..TableRule::default() };
        let source = table("t", &[("name?", varchar(5))]);
        let error =
            plan(&Catalog { tables: vec![source] }, &mapping([("t", rule)]), &TypeOptions::default()).unwrap_err();
        assert!(error.message().contains("`columns` names nmae"), "{error}");
    }
}
