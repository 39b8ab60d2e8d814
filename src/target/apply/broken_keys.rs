//! Foreign keys that the source itself does not hold to: the data wins.
//!
//! While we follow, the target's foreign keys are checked at COMMIT. What they refuse there is in the source (its checks were
//! off, or its rows are older than the key), so the key goes, it is written down in `sirenia.dropped_key`, and the batch is
//! applied again. The cutover makes it again.

use super::{Batch, Counts, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::target::error::on;
use crate::target::{broken_keys, fence, objects};

/// What PostgreSQL calls a row without its parent.
const FOREIGN_KEY_VIOLATION: &str = "23503";

impl Writer {
    /// Applies a batch and, if it ends at a commit, commits. Returns what was committed, none while a transaction is open.
    ///
    /// # Errors
    /// Classified by SQLSTATE; [`ErrorKind::Diverged`] when rows that must exist were not found. Drop the writer then.
    pub async fn apply(&mut self, batch: &mut Batch) -> Result<Option<Counts>> {
        let (slice, pending, sanitized) = (self.in_transaction, self.pending, self.sanitized.len());
        loop {
            match self.apply_once(batch).await {
                Err(error) if error.code() == Some(FOREIGN_KEY_VIOLATION) => {
                    self.give_up_key(error).await?;
                    if slice {
                        // its earlier slices went with the transaction
                        return Err(Error::new(ErrorKind::TargetUnavailable, "a large transaction begins anew"));
                    }
                    self.pending = pending;
                    self.sanitized.truncate(sanitized);
                }
                done => return done,
            }
        }
    }

    /// Drops the planned foreign key that refused a COMMIT, in a transaction of its own.
    ///
    /// # Errors
    /// `TargetConflict` for a key that is not ours; those of the connection and the lease.
    pub(super) async fn give_up_key(&mut self, refused: Error) -> Result<()> {
        let doing = "giving up a foreign key";
        self.in_transaction = false;
        self.client.batch_execute("ROLLBACK").await.map_err(on(doing))?;
        let planned = refused.constraint().filter(|constraint| {
            let plan = self.plans.iter().find(|plan| plan.target == constraint.table);
            plan.is_some_and(|plan| plan.objects.foreign_keys.iter().any(|key| key.name == constraint.name))
        });
        let Some(constraint) = planned else {
            return Err(Error::new(ErrorKind::TargetConflict, refused.to_string())
                .detail("a foreign key that is not of this pipeline refuses rows of the source")
                .with_hint("drop it on the target, then start again"));
        };
        let transaction = fence::begin(&mut self.client, &self.pipeline, self.epoch).await?;
        objects::drop_foreign_key(&transaction, &constraint.table, &constraint.name).await?;
        broken_keys::note(&transaction, &self.pipeline, &constraint.table, &constraint.name).await?;
        transaction.commit().await.map_err(on(doing))?;
        tracing::warn!(
            hint = "sirenia schema status",
            "foreign key {} of {} is dropped: rows of the source have no parent",
            constraint.name,
            constraint.table
        );
        self.reopen_books().await
    }
}
