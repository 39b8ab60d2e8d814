//! Drops what a pipeline made on the target, under its lease, so that the next run begins anew.

use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::ident::TargetName;
use crate::pipeline::state::target_config;
use crate::target::cutover::{self, Mark};
use crate::target::{connect, control, lease, tables};
use std::time::Duration;

/// How long a running instance may take to give the lease back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Drops the pipeline's tables and control rows; returns the tables.
///
/// # Errors
/// [`ErrorKind::TargetConflict`] when an instance is running, others depend on a table, or the application writes there.
pub async fn reset(config: &Config) -> Result<Vec<TargetName>> {
    let target = target_config(config);
    let mut client = connect(&target, "sirenia").await?;
    control::install(&mut client).await?;
    if cutover::mark(&*client, &config.pipeline).await? == Some(Mark::Done) {
        let message = format!("pipeline {} was cut over: its tables are the application's now", config.pipeline);
        return Err(Error::new(ErrorKind::TargetConflict, message)
            .with_hint("if they are to go all the same, `sirenia cutover --undo` first"));
    }
    let mut holder = String::new();
    let ttl = config.lease.ttl;
    let waiting =
        lease::acquire(&target, &config.pipeline, &config.lease.holder, ttl, |name, _| name.clone_into(&mut holder));
    // a lease that its holder left behind expires within its time to live
    let lease = match tokio::time::timeout(PATIENCE.max(ttl * 2), waiting).await {
        Ok(lease) => lease?,
        Err(_) => {
            return Err(Error::new(ErrorKind::TargetConflict, format!("pipeline {} is running", config.pipeline))
                .detail(format!("instance {holder} holds its lease"))
                .with_hint("stop `sirenia run` first"));
        }
    };
    let keeper = lease.keep();
    let dropped = tables::drop_everything(&mut client, &config.pipeline, keeper.epoch).await;
    keeper.release().await?;
    dropped
}
