//! SIGTERM and SIGINT: asked once to finish, everywhere heard.

use crate::error::{Error, ErrorKind, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Becomes true once, when the process was asked to end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// Raises a [`Shutdown`].
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl ShutdownTrigger {
    /// A trigger and its listener.
    #[must_use]
    pub fn new() -> (Self, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Shutdown(receiver))
    }

    /// Asks for the end.
    pub fn raise(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Listens for SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the handlers cannot be installed.
    pub fn on_signals() -> Result<Self> {
        let io = |e: std::io::Error| Error::new(ErrorKind::Io, "cannot listen for signals").with_source(e);
        let (mut term, mut int) =
            (signal(SignalKind::terminate()).map_err(io)?, signal(SignalKind::interrupt()).map_err(io)?);
        let (trigger, shutdown) = ShutdownTrigger::new();
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => tracing::info!("SIGTERM: finishing the batch in hand"),
                _ = int.recv() => tracing::info!("SIGINT: finishing the batch in hand"),
            }
            trigger.raise();
            // keeps the channel open: a dropped trigger must not read as "never"
            std::future::pending::<()>().await;
        });
        Ok(shutdown)
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the end is asked for.
    pub async fn raised(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|raised| *raised).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
