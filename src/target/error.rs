//! From PostgreSQL's errors to ours, by SQLSTATE.
//!
//! Owns the table SQLSTATE → [`ErrorKind`], that is, what is retried, what is quarantined and what stops us. Enters: an
//! error of the client library and what we were doing. Leaves: an [`Error`] without cell values. The server's DETAIL
//! and CONTEXT hold values always and its message holds them in the data classes (`invalid input syntax for type
//! integer: "x"`), so for those the message is built from the names the server sends apart, and the client library's
//! error, which prints all of it, is never kept as the source.

use crate::error::{Constraint, Error, ErrorKind};
use crate::ident::TargetName;
use std::error::Error as _;
use tokio_postgres::error::DbError;

/// Raised by `sirenia.fence`: the lease has a newer epoch, or its row is gone.
pub const STALE_EPOCH: &str = "SR001";
/// Raised by `sirenia.advance`: the checkpoint does not stand where the writer believes.
pub const UNEXPECTED_POSITION: &str = "SR002";

/// An [`Error`] that says what we were `doing` (`"creating table \"a\""`) and what the server made of it.
#[must_use]
pub fn classify(error: tokio_postgres::Error, doing: &str) -> Error {
    if let Some(db) = error.as_db_error() {
        return classify_db(db, doing);
    }
    let io = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let kind = if error.is_closed() || io.is_some() { ErrorKind::TargetUnavailable } else { ErrorKind::Bug };
    let detail = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    Error::new(kind, doing).detail(detail)
}

/// [`classify`] as a closure, for `map_err`.
pub(crate) fn on(doing: &str) -> impl FnOnce(tokio_postgres::Error) -> Error {
    move |error| classify(error, doing)
}

/// The SQLSTATE of an error that came from the server.
#[must_use]
pub fn sqlstate(error: &tokio_postgres::Error) -> Option<&str> {
    error.code().map(tokio_postgres::error::SqlState::code)
}

fn classify_db(db: &DbError, doing: &str) -> Error {
    let (kind, text, hint) = verdict(db.code().code(), db.routine());
    let mut detail = match text {
        Text::Server => format!("{} (SQLSTATE {})", db.message(), db.code().code()),
        Text::Name(name) => format!("{name} (SQLSTATE {})", db.code().code()),
    };
    for (what, name) in
        [("table", db.table()), ("column", db.column()), ("constraint", db.constraint()), ("type", db.datatype())]
    {
        if let Some(name) = name {
            detail.push_str(&format!(", {what} \"{name}\""));
        }
    }
    if let Some(place) = db.where_().and_then(copy_place) {
        detail.push_str(&format!(", in {place}"));
    }
    let mut error = Error::new(kind, doing).detail(detail).with_code(db.code().code());
    if let (Some(schema), Some(table), Some(name)) = (db.schema(), db.table(), db.constraint()) {
        error = error.with_constraint(Constraint { table: TargetName::new(schema, table), name: name.to_owned() });
    }
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Which text may be shown.
#[derive(Debug, PartialEq, Eq)]
enum Text {
    /// The server's message: for this SQLSTATE it names structure only.
    Server,
    /// The condition's name; the message may hold values.
    Name(&'static str),
}

fn verdict(code: &str, routine: Option<&str>) -> (ErrorKind, Text, Option<&'static str>) {
    use ErrorKind as K;
    let plain = |kind| (kind, Text::Server, None);
    let hinted = |kind, hint| (kind, Text::Server, Some(hint));
    let data = |name| (K::TargetData, Text::Name(name), None);
    match code {
        STALE_EPOCH => (K::LeaseLost, Text::Name("another instance holds the lease now"), None),
        UNEXPECTED_POSITION => (K::LeaseLost, Text::Name("the checkpoint was moved by another writer"), None),
        "53100" => hinted(K::TargetUnavailable, "the target's disk is full; replication continues once there is room"),
        "53300" => hinted(K::TargetUnavailable, "the target has no free connection (max_connections)"),
        "53200" => hinted(
            K::TargetUnavailable,
            "the target is out of memory; if it names shared memory, raise max_locks_per_transaction",
        ),
        "25006" => hinted(K::TargetUnavailable, "the target is read-only: a standby, or default_transaction_read_only"),
        // a plan cached by the session is older than the table; a new session plans anew
        "0A000" if routine == Some("RevalidateCachedQuery") => plain(K::TargetUnavailable),
        "57P04" | "3D000" => hinted(K::Config, "create the database, or correct the target's URL"),
        "42501" => hinted(K::AccessDenied, "GRANT the privilege to the role in the target's URL, or use its owner"),
        "XX001" | "XX002" => {
            hinted(K::TargetConflict, "the target's files are damaged; see its log, REINDEX or restore")
        }
        // undefined or already existing objects, other types than planned: somebody changed the target's schema
        "42P01" | "42P07" | "42703" | "42701" | "42704" | "42710" | "42804" | "42809" | "42P16" | "3F000" | "2BP01"
        | "55000" => plain(K::TargetConflict),
        "54000" => (K::TargetData, Text::Server, None),
        "54001" => data("statement_too_complex"),
        "P0001" => data("raise_exception in a trigger or function of the target"),
        _ => match &code[..code.len().min(2)] {
            "08" | "40" | "53" | "55" | "57" | "58" => plain(K::TargetUnavailable),
            "25" if code == "25P03" => plain(K::TargetUnavailable),
            "28" => hinted(K::AccessDenied, PASSWORD_HINT),
            "22" | "23" | "27" | "44" => data(condition(code)),
            "P0" => (K::Bug, Text::Name("error inside a function of the target"), None),
            _ => plain(K::Bug),
        },
    }
}

/// How to give the target's password.
pub(super) const PASSWORD_HINT: &str =
    "set user and password in SIRENIA_TARGET_URL (percent-encoded), or target.password_file in sirenia.toml";

/// The condition's name, after the manual's appendix "PostgreSQL Error Codes".
fn condition(code: &str) -> &'static str {
    match code {
        "22001" => "string_data_right_truncation",
        "22003" => "numeric_value_out_of_range",
        "22007" => "invalid_datetime_format",
        "22008" => "datetime_field_overflow",
        "22021" => "character_not_in_repertoire",
        "22023" => "invalid_parameter_value",
        "22026" => "string_data_length_mismatch",
        "22030" => "duplicate_json_object_key_value",
        "22032" => "invalid_json_text",
        "22P01" => "floating_point_exception",
        "22P02" => "invalid_text_representation",
        "22P03" => "invalid_binary_representation",
        "22P04" => "bad_copy_file_format",
        "22P05" => "untranslatable_character",
        "23001" => "restrict_violation",
        "23502" => "not_null_violation",
        "23503" => "foreign_key_violation",
        "23505" => "unique_violation",
        "23514" => "check_violation",
        "23P01" => "exclusion_violation",
        "27000" => "triggered_data_change_violation",
        "44000" => "with_check_option_violation",
        code if code.starts_with("23") => "integrity_constraint_violation",
        _ => "data_exception",
    }
}

/// `COPY t, line 3, column c` from the error's context; what follows it (`: "…"`) is the value.
fn copy_place(context: &str) -> Option<&str> {
    let line = context.lines().find(|line| line.starts_with("COPY "))?;
    Some(line.split_once(": \"").map_or(line, |(place, _)| place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing;

    #[test]
    fn sqlstates_have_their_consequence() {
        let kind = |code| verdict(code, None).0;
        for code in ["08006", "57P01", "57P03", "53100", "53300", "40001", "40P01", "55P03", "57014", "25P03", "58030"]
        {
            assert_eq!(kind(code), ErrorKind::TargetUnavailable, "{code}");
        }
        for code in ["22P02", "23505", "22021", "54000", "P0001"] {
            assert_eq!(kind(code), ErrorKind::TargetData, "{code}");
        }
        assert_eq!(kind("28P01"), ErrorKind::AccessDenied);
        assert_eq!(kind("SR001"), ErrorKind::LeaseLost);
        assert_eq!(kind("42601"), ErrorKind::Bug);
        assert_eq!(kind("42P01"), ErrorKind::TargetConflict);
        assert_eq!(verdict("22P02", None).1, Text::Name("invalid_text_representation"));
    }

    #[test]
    fn context_is_cut_before_the_value() {
        assert_eq!(copy_place("COPY t, line 1, column a: \"secret\""), Some("COPY t, line 1, column a"));
        assert_eq!(copy_place("SQL statement \"secret\""), None);
    }

    #[tokio::test]
    async fn values_do_not_leak() {
        let database = testing::database().await;
        let client = database.connect().await;
        client
            .batch_execute("CREATE TABLE public.\"T\" (id int PRIMARY KEY, v int CHECK (v < 5), n text NOT NULL)")
            .await
            .unwrap();
        client.batch_execute("INSERT INTO public.\"T\" VALUES (4711, 1, 'geheim')").await.unwrap();
        for (sql, expected) in [
            ("INSERT INTO public.\"T\" VALUES (4711, 1, 'geheim')", "unique_violation"),
            ("INSERT INTO public.\"T\" VALUES (1, 4712, 'geheim')", "check_violation"),
            ("INSERT INTO public.\"T\" VALUES (1, 4, NULL)", "not_null_violation"),
            ("SELECT 'geheim'::text::int", "invalid_text_representation"),
            ("DO $$ BEGIN RAISE EXCEPTION 'geheim 4711'; END $$", "raise_exception"),
        ] {
            let error = classify(client.batch_execute(sql).await.unwrap_err(), "writing");
            let report = format!("{} {error:?}", error.report());
            assert_eq!(error.kind(), ErrorKind::TargetData, "{report}");
            assert!(report.contains(expected), "{report}");
            assert!(!report.contains("geheim") && !report.contains("471"), "{report}");
        }
        let error = classify(client.batch_execute("SELECT 1 FROM public.nowhere").await.unwrap_err(), "reading");
        assert_eq!(error.kind(), ErrorKind::TargetConflict);
    }
}
