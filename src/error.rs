//! The one error type: what happened, where, why, and the command that mends it.
//!
//! Owns the table from [`ErrorKind`] to [`Disposition`] (what the pipeline does with it) and to the process exit code.
//! Messages follow PostgreSQL's manner: a primary line, an optional detail, an optional hint. They name structure
//! (table, column, position), never a cell value or a password; whoever builds an error keeps to that.

use crate::ident::TargetName;
use std::error::Error as StdError;
use std::fmt;

/// `Result` with Sirenia's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by the consequence it has for whoever runs the replicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line cannot be understood.
    Usage,
    /// A setting is missing, contradictory or out of range.
    Config,
    /// The source cannot be reached just now: refused, cut, restarting, timed out.
    SourceUnavailable,
    /// The target cannot be reached just now: refused, cut, restarting, timed out.
    TargetUnavailable,
    /// The host name of a server does not resolve.
    UnknownHost,
    /// A server refused the login or a statement for want of a privilege.
    AccessDenied,
    /// The source is set up in a way that cannot be replicated (binlog off, statement format, filters, …).
    SourceSetting,
    /// The binlog no longer holds what follows the checkpoint.
    BinlogGap,
    /// The server behind the source's address is not the one the checkpoint was taken on.
    SourceIdentity,
    /// A table, column count or type differs from the schema the rows are decoded with.
    SchemaMismatch,
    /// A DDL statement on a replicated table that is not carried over.
    Ddl,
    /// An event that cannot be applied without losing data: incident, statement-format DML, unknown mandatory event.
    UnsupportedEvent,
    /// Prepared XA transactions, whose rows are in the binlog but not yet committed.
    PreparedXa,
    /// Bytes that do not follow their format: truncated or damaged event, checksum mismatch.
    Corrupt,
    /// A value that does not fit its target column and whose policy is to fail.
    Value,
    /// A value that does not fit its target column and whose policy is to set the row aside.
    Unfit,
    /// Target tables hold rows of somebody else, or do not match what would be made.
    TargetConflict,
    /// The target rejected a statement because of its data: constraint, type, size.
    TargetData,
    /// More rows of a table are refused than are set aside; its name is the code. The table is paused.
    TooManyRefused,
    /// What the target holds is not what the source's change expects: rows missing or doubled.
    Diverged,
    /// Another instance holds the lease now; this one must not write any more.
    LeaseLost,
    /// Reading or writing a local file failed.
    Io,
    /// A state this program must never reach.
    Bug,
}

/// What the pipeline does with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Reconnect from the checkpoint, with back-off.
    Retry,
    /// Stop and tell the operator which command mends it.
    Operator,
    /// One row cannot be applied; it is set aside and the table stays live.
    Quarantine,
    /// Stop: the program itself is wrong.
    Bug,
}

impl ErrorKind {
    /// What the pipeline does with an error of this kind.
    #[must_use]
    pub fn disposition(self) -> Disposition {
        use ErrorKind as K;
        match self {
            K::SourceUnavailable | K::TargetUnavailable | K::LeaseLost => Disposition::Retry,
            K::TargetData | K::Unfit => Disposition::Quarantine,
            K::Bug => Disposition::Bug,
            _ => Disposition::Operator,
        }
    }

    /// The process exit code: 2 for usage or configuration, 3 for a failure at run time.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Config => 2,
            _ => 3,
        }
    }
}

/// An error of any part of Sirenia, rendered once, at the top.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    code: Option<String>,
    constraint: Option<Constraint>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A constraint of the target that refused a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// The table it belongs to; of a foreign key the child.
    pub table: TargetName,
    /// Its name.
    pub name: String,
}

impl Error {
    /// An error with its primary message: lower case, no full stop, what and where.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
            code: None,
            constraint: None,
            source: None,
        }))
    }

    /// Adds why: the second line of the report.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds what to do: the statement or command that mends it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the underlying error; its text is shown as `caused by`.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts `what: ` before the primary message, for callers that know where it happened.
    #[must_use]
    pub fn at(mut self, what: impl fmt::Display) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Names the condition as the server or a setting does: an SQLSTATE, a reason why a value does not fit.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// The condition's code, if it has one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Names the constraint that refused a row.
    #[must_use]
    pub fn with_constraint(mut self, constraint: Constraint) -> Self {
        self.0.constraint = Some(constraint);
        self
    }

    /// The constraint that refused a row, if one did.
    #[must_use]
    pub fn constraint(&self) -> Option<&Constraint> {
        self.0.constraint.as_ref()
    }

    /// What the pipeline does with it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        self.0.kind.disposition()
    }

    /// The primary message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it, if anything is known to help.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The whole report: primary line, detail, causes, and after a blank line the hint.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = format!("error: {}", self.0.message);
        if let Some(detail) = &self.0.detail {
            out.push_str("\n  ");
            out.push_str(&detail.replace('\n', "\n  "));
        }
        let mut cause = self.0.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(error) = cause {
            out.push_str(&format!("\n  caused by: {error}"));
            cause = error.source();
        }
        if let Some(hint) = &self.0.hint {
            out.push_str("\n\nhint: ");
            out.push_str(&hint.replace('\n', "\n      "));
        }
        out
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(detail) = &self.0.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

/// Shorthand for a damaged or truncated binlog structure.
#[must_use]
pub fn corrupt(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_puts_the_hint_after_a_blank_line() {
        let error = Error::new(ErrorKind::AccessDenied, "cannot read the binlog")
            .detail("user lacks REPLICATION SLAVE")
            .with_hint("GRANT REPLICATION SLAVE ON *.* TO 'u'@'%'");
        assert_eq!(
            error.report(),
            "error: cannot read the binlog\n  user lacks REPLICATION SLAVE\n\nhint: GRANT REPLICATION SLAVE ON *.* TO 'u'@'%'"
        );
        assert_eq!(error.kind().exit_code(), 3);
    }
}
