//! The result as a compact table.

use super::proof::Proof;
use super::stage::{Drained, Following};
use std::fmt::Write;
use std::time::Duration;

/// What the demo has found out.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Source and target.
    pub versions: (String, String),
    /// Rows of the first copy and how long it took, from the replicator's start, its kill included.
    pub copy: (u64, Duration),
    /// Row changes applied since the pipeline began.
    pub changes: u64,
    pub transactions: u64,
    /// Changes a second while following, on average and at most.
    pub rate: f64,
    pub fastest: f64,
    /// From the workload's last commit to its arrival.
    pub lag: Duration,
    pub kills: u32,
    pub proof: Proof,
}

impl Report {
    /// Takes in what the stream has done from one moment to the other.
    pub fn stream(&mut self, from: &Following, to: &Drained) {
        let seconds = to.at.duration_since(from.at).as_secs_f64();
        self.changes = to.changes;
        self.transactions = to.transactions;
        self.rate = to.changes.saturating_sub(from.changes) as f64 / seconds.max(0.001);
        self.fastest = to.fastest.max(self.rate);
        self.lag = to.lag;
    }

    /// The table, and below it EQUAL or what differs.
    pub fn render(&self) -> String {
        let proof = &self.proof;
        let mut out = format!("\n{} -> {}\n", self.versions.0, self.versions.1);
        let mut fact = |name: &str, value: String| {
            let _ = writeln!(out, "  {name:<16}{value}");
        };
        let rows = match (proof.source_rows, proof.target_rows) {
            (left, right) if left == right => grouped(left),
            (left, right) => format!("{} on the source, {} on the target", grouped(left), grouped(right)),
        };
        let (copied, copy_time) = (grouped(self.copy.0), self.copy.1.as_secs_f64());
        fact("tables", grouped(proof.tables as u64));
        fact("rows", rows);
        fact("first copy", format!("{copied} rows in {copy_time:.1} s, under load"));
        let transactions = grouped(self.transactions);
        fact("changes applied", format!("{} in {transactions} transactions", grouped(self.changes)));
        fact("changes/s", format!("{} (fastest second: {})", rounded(self.rate), rounded(self.fastest)));
        fact("lag at the end", format!("{:.2} s", self.lag.as_secs_f64()));
        fact("kills survived", self.kills.to_string());
        let verdict = if proof.is_equal() { "equal" } else { "not equal" };
        fact("verified", format!("{verdict}, in {:.1} s", proof.verify_took.as_secs_f64()));
        out.push('\n');
        if proof.is_equal() {
            out.push_str("EQUAL\n");
        } else {
            out.push_str("NOT EQUAL\n");
            for difference in &proof.differences {
                let _ = writeln!(out, "  {}", difference.replace('\n', "\n  "));
            }
        }
        out
    }
}

fn rounded(rate: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, shown as a whole number")]
    grouped(rate.round() as u64)
}

/// Digits in groups of three: `2,847,563`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_says_equal_or_what_differs() {
        let mut report = Report { versions: ("A 1".into(), "B 2".into()), kills: 2, ..Report::default() };
        (report.proof.source_rows, report.proof.target_rows) = (12_345, 12_345);
        (report.rate, report.lag) = (4_321.4, Duration::from_millis(250));
        let text = report.render();
        assert!(text.starts_with("\nA 1 -> B 2\n") && text.ends_with("\n\nEQUAL\n"), "{text}");
        assert!(text.contains("  rows            12,345\n"), "{text}");
        assert!(text.contains("  changes/s       4,321 ") && text.contains("0.25 s"), "{text}");
        report.proof.target_rows = 12_344;
        report.proof.differences.push("pasien: 2 rows on the source, 1 on the target".into());
        let text = report.render();
        assert!(text.contains("12,345 on the source, 12,344 on the target"), "{text}");
        assert!(text.ends_with("NOT EQUAL\n  pasien: 2 rows on the source, 1 on the target\n"), "{text}");
    }
}
