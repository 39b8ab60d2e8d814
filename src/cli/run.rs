//! What surrounds `sirenia run`: HTTP beside it, and the signals that end it.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::http;
use crate::status::Shared;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

/// Serves HTTP where the settings say. An address that cannot be listened on is a warning, not an end: the data's
/// way matters more than a look at it.
pub async fn serve_http(
    config: &Config,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Option<(SocketAddr, JoinHandle<()>)> {
    match http::serve(config.http?, shared, shutdown).await {
        Ok((addr, task)) => {
            tracing::info!(%addr, "HTTP serves health, metrics and status");
            Some((addr, task))
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let hint = error.hint().unwrap_or_default();
            tracing::warn!(cause, hint, "{error}; going on without");
            None
        }
    }
}

/// Resolves at the first SIGINT or SIGTERM, with its name. From this call on they no longer end the process.
pub fn interrupted() -> Result<impl Future<Output = &'static str> + Send + 'static> {
    let failed = |error| Error::new(ErrorKind::Io, "signals cannot be received").with_source(error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}
