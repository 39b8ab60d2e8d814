//! What was found, as text and as JSON. Numbers and names of tables only: a key is a value of a cell.

use serde::Serialize;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Both sides hold the same.
    Equal,
    /// Every row that differs is in quarantine.
    Quarantined,
    /// Not known: rows kept changing, the target did not get there in time, or a table could not be compared.
    NotSettled,
    /// They do not.
    Different,
}

impl Verdict {
    /// The report's last line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "EQUAL",
            Self::Quarantined => "ALL DIFFERENCES ARE IN QUARANTINE",
            Self::NotSettled => "NOT SETTLED",
            Self::Different => "DIFFERENT",
        }
    }
}

/// What was found in one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Rows of the source that were compared, or counted.
    pub rows: u64,
    /// Rows that both sides hold under one key, with different values.
    pub differing: u64,
    /// Rows that the target lacks.
    pub missing: u64,
    /// Rows that only the target holds.
    pub extra: u64,
    /// Rows that differ or are missing, and are in quarantine.
    pub quarantined: u64,
    /// Keys (without a key: contents, with `--counts`: tables) that kept changing.
    pub unsettled: u64,
}

/// How a table was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Row by row, by key.
    Key,
    /// As a multiset of rows, for want of a key.
    Multiset,
    /// By the number of rows.
    Count,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// `database.table` of the source.
    pub source: String,
    /// `schema.table` of the target.
    pub target: String,
    /// How it was compared.
    pub method: Method,
    /// What was found.
    #[serde(flatten)]
    pub tally: Tally,
    /// Why it could not be compared.
    pub error: Option<String>,
    /// The answer.
    pub verdict: Verdict,
}

impl TableReport {
    /// The answer that the numbers give.
    #[must_use]
    pub fn judged(mut self) -> Self {
        let Tally { differing, missing, extra, quarantined, unsettled, .. } = self.tally;
        self.verdict = match differing + missing + extra {
            0 if unsettled == 0 && self.error.is_none() && quarantined > 0 => Verdict::Quarantined,
            0 if unsettled == 0 && self.error.is_none() => Verdict::Equal,
            0 => Verdict::NotSettled,
            _ => Verdict::Different,
        };
        self
    }
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The pipeline.
    pub pipeline: String,
    /// The answer: the worst of all tables.
    pub verdict: Verdict,
    /// Whether an instance held the pipeline's lease when this began.
    pub running: bool,
    /// How long it took.
    pub seconds: f64,
    /// All tables together.
    pub total: Tally,
    /// Each table, in the catalogue's order.
    pub tables: Vec<TableReport>,
}

impl Report {
    /// Sums up.
    #[must_use]
    pub fn new(pipeline: &str, running: bool, seconds: f64, tables: Vec<TableReport>) -> Self {
        let sum = |of: fn(&Tally) -> u64| tables.iter().map(|table| of(&table.tally)).sum();
        let total = Tally {
            rows: sum(|tally| tally.rows),
            differing: sum(|tally| tally.differing),
            missing: sum(|tally| tally.missing),
            extra: sum(|tally| tally.extra),
            quarantined: sum(|tally| tally.quarantined),
            unsettled: sum(|tally| tally.unsettled),
        };
        let verdict = tables.iter().map(|table| table.verdict).max().unwrap_or(Verdict::Equal);
        Self { pipeline: pipeline.to_owned(), verdict, running, seconds, total, tables }
    }

    /// The report for people; the last line is the answer.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.tables.iter().map(|table| table.source.chars().count()).max().unwrap_or(0).max(5);
        let mut out = String::new();
        let mut line = |name: &str, cells: [String; 6], end: &str| {
            let cells: String = cells.iter().map(|cell| format!(" {cell:>10}")).collect();
            let _ = writeln!(out, "{name:width$}{cells}  {end}");
        };
        let numbers = |tally: &Tally| {
            [tally.rows, tally.differing, tally.missing, tally.extra, tally.quarantined, tally.unsettled]
                .map(|number| number.to_string())
        };
        line("table", ["rows", "differing", "missing", "extra", "quarantine", "unsettled"].map(str::to_owned), "");
        for table in &self.tables {
            let verdict = table.verdict.as_str().to_lowercase();
            line(&table.source, numbers(&table.tally), table.error.as_ref().unwrap_or(&verdict));
        }
        line("total", numbers(&self.total), &format!("{} tables, {:.1} s", self.tables.len(), self.seconds));
        if !self.running {
            out.push_str("no instance is running: what is not applied yet counts as different\n");
        }
        out.push_str(self.verdict.as_str());
        out.push('\n');
        out
    }
}

/// How far a comparison is, for whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Tables to compare.
    pub tables: AtomicU64,
    /// Tables compared.
    pub tables_done: AtomicU64,
    /// Rows to compare, by the source's estimate.
    pub rows_estimated: AtomicU64,
    /// Rows compared.
    pub rows: AtomicU64,
}

impl Progress {
    pub(super) fn add_rows(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(tally: Tally, error: Option<&str>) -> TableReport {
        TableReport {
            source: "lab.é".into(),
            target: "public.é".into(),
            method: Method::Key,
            tally,
            error: error.map(str::to_owned),
            verdict: Verdict::Equal,
        }
        .judged()
    }

    #[test]
    fn the_worst_table_decides() {
        let equal = table(Tally { rows: 7, ..Tally::default() }, None);
        let set_aside = table(Tally { quarantined: 1, ..Tally::default() }, None);
        assert!(set_aside.verdict == Verdict::Quarantined && Verdict::Quarantined > Verdict::Equal);
        let unsettled = table(Tally { unsettled: 1, ..Tally::default() }, None);
        let different = table(Tally { extra: 2, unsettled: 1, ..Tally::default() }, None);
        let failed = table(Tally::default(), Some("no such table"));
        assert_eq!(equal.verdict, Verdict::Equal);
        assert_eq!((unsettled.verdict, failed.verdict), (Verdict::NotSettled, Verdict::NotSettled));
        let report = Report::new("p", false, 0.5, vec![equal.clone(), unsettled, failed]);
        assert_eq!(report.verdict, Verdict::NotSettled);
        let report = Report::new("p", true, 0.5, vec![equal, different]);
        let text = report.text();
        assert!(text.ends_with("2 tables, 0.5 s\nDIFFERENT\n"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["verdict"], &json["tables"][1]["extra"]), (&"different".into(), &2.into()));
        assert_eq!(Report::new("p", true, 0.0, vec![]).verdict, Verdict::Equal);
    }
}
