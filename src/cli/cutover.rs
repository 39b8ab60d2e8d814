//! `sirenia cutover`: whether the application may move, what stands in the way, and the move itself.

use crate::cli::{print, progress};
use crate::config::{Config, LogFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::cutover::{self, Outcome};
use crate::verify::report::Progress;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// `sirenia cutover`
#[derive(Debug, Clone, Default, clap::Args)]
#[command(
    after_help = "The source must be read-only, and `sirenia run` must be running until everything has arrived; it then ends.\n\
    Exit code 0: go, the application may write to the target; 1: no-go, with every reason and what mends it.\n\n\
    Examples:\n  sirenia cutover --dry-run\n  sirenia cutover --wait 600\n  sirenia cutover --undo"
)]
pub struct CutoverArgs {
    /// Look at everything, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Seconds to wait until the target has what the source has
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub wait: u64,
    /// Take it back, so that `sirenia run` follows the source again; what was written to the target stays
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    pub undo: bool,
    /// JSON, one object
    #[arg(long)]
    pub json: bool,
}

/// Runs the command: exit code 0 go, 1 no-go.
pub async fn run(config: Config, args: &CutoverArgs) -> Result<u8> {
    if args.undo {
        cutover::undo(&config).await?;
        print("the pipeline can follow again: `sirenia run`\n")?;
        return Ok(0);
    }
    let shown = Arc::new(Progress::default());
    let plain = config.log.format == LogFormat::Json;
    let work = cutover::run(Arc::new(config), args.dry_run, Duration::from_secs(args.wait), Arc::clone(&shown));
    let outcome = progress::comparing(&shown, plain, work).await?;
    let text = if args.json {
        let failed = |error| Error::new(ErrorKind::Bug, "the outcome cannot be written as JSON").with_source(error);
        serde_json::to_string(&outcome).map_err(failed)? + "\n"
    } else {
        text(&outcome, args.dry_run)
    };
    print(&text)?;
    Ok(u8::from(!outcome.go))
}

fn text(outcome: &Outcome, dry_run: bool) -> String {
    let mut out = String::new();
    if outcome.already {
        return "cut over before; nothing was changed\nGO\n".into();
    }
    for note in &outcome.notes {
        let _ = writeln!(out, "note      {note}");
    }
    if let Some(position) = &outcome.position {
        let _ = writeln!(out, "source    at {position}");
    }
    if let Some(report) = &outcome.verify {
        let (verdict, total) = (report.verdict.as_str().to_lowercase(), report.total.rows);
        let _ =
            writeln!(out, "verify    {verdict}: {} tables, {total} rows, {:.1} s", report.tables.len(), report.seconds);
    }
    if outcome.verify.is_none() {
        out.push_str("verify    not run, for what stands in the way already\n");
    }
    let done = outcome.go && !dry_run;
    if done || dry_run {
        let word = if done { "" } else { "would be " };
        let sequences: Vec<String> =
            outcome.sequences.iter().filter_map(|(column, next)| Some(format!("{column} from {}", (*next)?))).collect();
        let _ = writeln!(out, "keys      {} foreign keys {word}given their own actions", outcome.foreign_keys);
        if outcome.objects > 0 {
            let _ = writeln!(out, "objects   {} others {word}made", outcome.objects);
        }
        let _ = writeln!(out, "numbers   {} identities {word}set behind their rows", outcome.sequences.len());
        for line in &sequences {
            let _ = writeln!(out, "          {line}");
        }
        let _ = writeln!(out, "triggers  {} tables {word}given one", outcome.triggers.len());
        for line in &outcome.triggers {
            let _ = writeln!(out, "          {line}");
        }
    }
    for reason in &outcome.reasons {
        let _ = writeln!(out, "\nno-go: {}", reason.what);
        if !reason.keys.is_empty() {
            let _ = writeln!(out, "       keys: {}", reason.keys.join("; "));
        }
        let _ = writeln!(out, "hint: {}", reason.hint.replace('\n', "\n      "));
    }
    out.push_str(match (outcome.go, dry_run) {
        (true, true) => "GO (dry run: nothing was changed)\n",
        (true, false) => "GO\n",
        (false, _) => "\nNO-GO\n",
    });
    out
}
