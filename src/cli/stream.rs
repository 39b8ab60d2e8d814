//! `sirenia tail`, `record` and `replay`: the change stream on stdout, to a file, and from it.

use crate::cli::args::{RecordArgs, ReplayArgs, StreamArgs, TailArgs};
use crate::cli::{logging, print};
use crate::config::{Inputs, SourceSettings};
use crate::error::{Error, ErrorKind, Result};
use crate::ops::stream::{Told, record as write, tell};
use crate::pipeline::shutdown::Shutdown;
use crate::pipeline::state::source_address;
use crate::stream::lines::{Lines, is_closed};
use crate::stream::{Changes, open_recording};
use std::io::BufWriter;

/// Runs `tail`: exit code 0 when it was asked to end, or has reached the end asked for.
pub async fn tail(inputs: Inputs, args: &TailArgs) -> Result<u8> {
    let shutdown = Shutdown::on_signals()?;
    let mut changes = open(inputs, &args.stream).await?;
    show(&mut changes, args.values, args.stream.time, &shutdown).await
}

/// Runs `record`: exit code 0 when it was asked to end, or has reached the end asked for.
pub async fn record(inputs: Inputs, args: &RecordArgs) -> Result<u8> {
    let shutdown = Shutdown::on_signals()?;
    let mut changes = open(inputs, &args.stream).await?;
    let mut told = Told::default();
    let ended = write(&mut changes, &args.file, args.stream.time, &shutdown, &mut told).await;
    let Told { transactions, rows } = told;
    let counts = format!("{transactions} transactions with {rows} rows");
    let position =
        ended.inspect_err(|_| tracing::warn!(file = %args.file.display(), "recorded {counts} before the end"))?;
    print(&format!("recorded {counts}, up to {position}, to {}\n", args.file.display()))?;
    Ok(0)
}

/// Runs `replay`: exit code 0 when the recording is whole.
pub async fn replay(inputs: Inputs, args: &ReplayArgs) -> Result<u8> {
    logging::init(&inputs.log()?)?;
    let shutdown = Shutdown::on_signals()?;
    let mut changes = Changes::from_recording(&args.file)?;
    show(&mut changes, args.values, None, &shutdown).await
}

async fn show(
    changes: &mut Changes,
    values: bool,
    time: Option<std::time::Duration>,
    shutdown: &Shutdown,
) -> Result<u8> {
    let out = BufWriter::with_capacity(64 << 10, std::io::stdout());
    let mut lines = Lines::new(out, changes.header(), values);
    match tell(changes, &mut lines, time, shutdown, &mut Told::default()).await {
        Err(error) if is_closed(&error) => std::process::exit(0),
        ended => ended.map(|()| 0),
    }
}

/// Opens the stream that the flags ask for.
async fn open(inputs: Inputs, args: &StreamArgs) -> Result<Changes> {
    let SourceSettings { source, mut mapping, log, warnings } = inputs.resolve_source()?;
    logging::init(&log)?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let until = args.until.as_ref();
    if args.files.is_empty() {
        let source = source.ok_or_else(|| {
            Error::new(ErrorKind::Config, "neither a source nor binlog files are named")
                .with_hint("set SIRENIA_SOURCE_URL=mysql://user:password@host:3306/database, or name files by --files")
        })?;
        return Changes::from_server(&source_address(&source, &mapping), &mapping, &args.from, until).await;
    }
    let schema = match (&args.schema, source) {
        (Some(recording), source) => {
            let header = open_recording(recording)?.header().clone();
            if source.is_none() {
                // without a source in the settings all that the recording has is meant
                for table in &header.tables {
                    mapping.databases.entry(table.name.database.clone()).or_insert_with(|| "public".into());
                }
            }
            header
        }
        (None, Some(source)) => Changes::schema_of(&source_address(&source, &mapping), &mapping).await?,
        (None, None) => {
            return Err(Error::new(ErrorKind::Config, "the columns of the files' tables are not known")
                .detail("binlog files alone do not say how their rows are to be read")
                .with_hint("name a recording of the same tables by --schema, or the source by SIRENIA_SOURCE_URL"));
        }
    };
    Changes::from_files(args.files.clone(), schema, &mapping, until)
}
