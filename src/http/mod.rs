//! HTTP for machines and for a glance: health, metrics, status and one small page.
//!
//! Reads [`Shared`] and changes nothing; there is no way in here that writes. Listens on loopback unless told
//! otherwise, since it asks for no password. Nothing it shows names a cell's value. A failure here never stops the
//! pipeline: the caller logs it and goes on.

mod health;
mod metrics;
mod page;
mod status;

use crate::error::{Error, ErrorKind, Result};
use crate::status::Shared;
use axum::Router;
use axum::routing::get;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How long requests that are under way may hold up the process's end.
const DRAIN: Duration = Duration::from_secs(1);

/// Listens at `addr` and answers in a task until `shutdown` resolves. Returns the address, which with port 0 is the
/// one the system chose, and the task, which ends at most a second after `shutdown`.
///
/// # Errors
/// `Io` when the address cannot be listened on, most often because it is taken.
pub async fn serve(
    addr: SocketAddr,
    shared: Arc<Shared>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(SocketAddr, JoinHandle<()>)> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Io, format!("HTTP cannot listen on {addr}"))
            .with_source(error)
            .with_hint("--http-listen 127.0.0.1:0 or [http] listen = \"off\"")
    };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let task = tokio::spawn(async move {
        let (told, mut tell) = tokio::sync::oneshot::channel::<()>();
        let graceful = axum::serve(listener, router(shared)).with_graceful_shutdown(async move {
            shutdown.await;
            drop(told);
        });
        let overdue = async {
            let _ = (&mut tell).await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            result = graceful.into_future() => {
                if let Err(error) = result {
                    tracing::warn!(%error, "HTTP has ended");
                }
            }
            () = overdue => {}
        }
    });
    Ok((addr, task))
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/status", get(status::status))
        .with_state(shared)
}

#[cfg(test)]
mod tests;
