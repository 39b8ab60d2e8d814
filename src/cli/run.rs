//! `sirenia run`: the pipeline, with HTTP and progress beside it, until it is asked to end.

use crate::cli::args::RunArgs;
use crate::cli::progress;
use crate::config::{Config, LogFormat};
use crate::error::{Error, ErrorKind, Result};
use crate::http;
use crate::pipeline;
use crate::pipeline::shutdown::Shutdown;
use crate::status::Shared;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Runs the command: exit code 0 when it was asked to end, or has reached its end with `--once`.
pub async fn run(config: Config, args: &RunArgs) -> Result<u8> {
    let shutdown = Shutdown::on_signals()?;
    let config = Arc::new(config);
    let shared = Shared::new(config.pipeline.clone(), config.lease.holder.clone());
    let asked = shutdown.clone();
    serve_http(&config, Arc::clone(&shared), async move { asked.raised().await }).await;
    let (done, finished) = oneshot::channel::<()>();
    let plain = config.log.format == LogFormat::Json;
    let showing = tokio::spawn(progress::show(Arc::clone(&shared), plain, async move {
        let _ = finished.await;
    }));
    // as a task: then it runs on the thread of the connections that it waits for, and each answer is a wake-up less
    let running = tokio::spawn(pipeline::run(Arc::clone(&config), shared, args.once, shutdown));
    let ran = running.await;
    drop(done);
    let _ = showing.await;
    ran.map_err(|panic| Error::new(ErrorKind::Bug, "the pipeline panicked").with_source(panic))?.map(|()| 0)
}

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
