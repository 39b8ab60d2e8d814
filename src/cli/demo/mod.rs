//! `sirenia demo`: the whole job on private servers, with kills on the way and a proof at the end.
//!
//! Owns the story: servers, the lab's data, a live workload, `sirenia run` as a process of its own that is killed by
//! SIGKILL during the copy and again in the stream, the drained end, the proof. Enters: [`DemoArgs`]. Leaves: the
//! result on stdout, everything else on stderr; exit code 0 for EQUAL, 1 for what differs.
//!
//! It uses the replicator only as anybody could: by its command line, and by reading its control tables. The servers
//! and the replicator end with this process, however it ends (see [`crate::embedded`]).

mod proof;
mod replicator;
mod report;
mod screen;
mod servers;
mod stage;
mod watch;
mod work;

use crate::cli::args::DemoArgs;
use crate::cli::print;
use crate::embedded::SourceKind;
use crate::embedded::lab::Lab;
use crate::error::Result;
use crate::pipeline::shutdown::Shutdown;
use report::Report;
use screen::Screen;
use servers::Servers;
use stage::Stage;
use std::time::{Duration, Instant};

/// How many connections change the source.
const WORKERS: u32 = 3;

/// As a shell reports a process that was ended by SIGINT (128 + 2).
const INTERRUPTED: u8 = 130;

/// Runs the command: 0 when both sides are equal, 1 when they are not, 130 when it was interrupted.
///
/// # Errors
/// A server is not installed or does not start; the replicator ended by itself or stands still, with the end of its
/// log.
pub async fn run(args: DemoArgs) -> Result<u8> {
    let interrupted = Shutdown::on_signals()?;
    let screen = Screen::new();
    let played = tokio::select! {
        () = interrupted.raised() => None,
        played = play(&args, &screen) => Some(played),
    };
    let Some(played) = played else {
        screen.step("interrupted: all is stopped and removed");
        return Ok(INTERRUPTED);
    };
    let (equal, mut stage) = played?;
    if args.keep {
        print(&stage.how_to_connect())?;
        tokio::select! {
            () = interrupted.raised() => screen.step("stopping"),
            ended = stage.replicator_ends() => return Err(ended),
        }
    }
    stage.end().await?;
    Ok(u8::from(!equal))
}

/// The story. Whether both sides were equal at its end, and what still runs then.
async fn play<'a>(args: &DemoArgs, screen: &'a Screen) -> Result<(bool, Stage<'a>)> {
    let kind = if args.mysql { SourceKind::MySql } else { SourceKind::MariaDb };
    let rows = usize::try_from(args.rows).unwrap_or(usize::MAX);
    let lab = Lab { seed: args.seed, tables: args.tables as usize, rows };
    let servers = Servers::start(kind, screen).await?;
    servers.load(&lab, screen).await?;
    let mut stage = Stage::open(servers, args.seed, screen).await?;
    let mut report = Report { versions: stage.servers.versions().await?, ..Report::default() };

    let started = Instant::now();
    stage.start_replicator("first copy")?;
    let some = lab.row_counts().iter().map(|(_, rows)| rows).sum::<u64>() / 10;
    let seen = stage.until("the copy", |seen| seen.is_behind_copy() || seen.rows_copied >= some).await?;
    if seen.is_behind_copy() {
        screen.step("the copy was over before it could be killed");
    } else {
        let (done, all) = (seen.tables_copied, seen.tables);
        stage.kill(&format!("in the copy, at {} rows, {done} of {all} tables", report::grouped(seen.rows_copied)));
        report.kills += 1;
        stage.start_replicator("goes on where it was")?;
    }
    let seen = stage.until("the copy", watch::Seen::is_behind_copy).await?;
    report.copy = (seen.rows_copied, started.elapsed());
    screen.step(&format!("copied: {} tables, {} rows", seen.tables, report::grouped(seen.rows_copied)));
    stage.until("the indexes", watch::Seen::is_following).await?;
    screen.step("caught up, indexes built, following");

    let following = stage.begin_to_measure();
    let part = Duration::from_secs(args.seconds) / 2;
    let seen = stage.play_for(part).await?;
    stage.kill(&format!("in the stream, at {} changes", report::grouped(seen.changes)));
    report.kills += 1;
    stage.start_replicator("goes on where it was")?;
    stage.play_for(part).await?;
    let drained = stage.drain().await?;
    report.stream(&following, &drained);
    screen.step(&format!("everything committed on the source has arrived, {:.1} s later", drained.lag.as_secs_f64()));

    report.proof = proof::prove(&stage).await?;
    screen.clear();
    print(&report.render())?;
    Ok((report.proof.is_equal(), stage))
}
