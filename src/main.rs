//! The `sirenia` program: reads the command line, runs, renders the error, sets the exit code.

use sirenia::cli;
use sirenia::error::{Error, ErrorKind};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// How long threads that are still busy may hold up the end.
const LAST_THREADS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let args = cli::args::parse();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Io, "threads cannot be started").with_source(error))
        .and_then(|runtime| {
            let result = runtime.block_on(cli::dispatch(args));
            runtime.shutdown_timeout(LAST_THREADS);
            result
        });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{}", error.report());
            ExitCode::from(error.kind().exit_code())
        }
    }
}
