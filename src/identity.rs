//! Which server a checkpoint was taken on, and by what it is recognised again.
//!
//! A binlog position means nothing on another server, nor on the same one after `RESET MASTER` or a restore: then files
//! of the same name hold other events. So a checkpoint carries this beside its position, and a restart compares before it reads.

use crate::error::{Error, ErrorKind, Result};
use crate::schema::Flavor;
use serde::{Deserialize, Serialize};

/// What identifies the server and the log that a position points into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// The server family; positions do not cross it.
    pub flavor: Flavor,
    /// `VERSION()`, for messages: an upgrade in place keeps the log.
    pub version: String,
    /// MySQL's `@@server_uuid`; MariaDB has none (its `@@server_uid` names the installation, not the data).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_uuid: Option<String>,
    /// `@@server_id`.
    pub server_id: u32,
    /// The binlog file whose format description the next two fields come from.
    pub binlog_file: String,
    /// When that file was created, seconds since 1970, from its format description event's header: another file of the
    /// same name has another, unless the log was begun anew and has grown to that name again within one second.
    pub binlog_created: u32,
    /// The server id in that event's header.
    pub binlog_server_id: u32,
    /// Whether its binlog holds what foreign keys change: the log behind the position was written under this setting.
    pub logs_cascades: bool,
}

impl SourceIdentity {
    /// Compares with the server that answers now.
    ///
    /// # Errors
    /// [`ErrorKind::SourceIdentity`] when it is another one.
    pub fn check_server(&self, found: &Self) -> Result<()> {
        let what = if self.flavor != found.flavor {
            format!("the checkpoint was taken on {}, this is {}", self.version, found.version)
        } else if self.server_uuid != found.server_uuid {
            let uuid = |identity: &Self| identity.server_uuid.clone().unwrap_or_else(|| "none".into());
            format!("the checkpoint was taken on server_uuid {}, this is {}", uuid(self), uuid(found))
        } else if self.server_id != found.server_id {
            format!("the checkpoint was taken on server_id {}, this is {}", self.server_id, found.server_id)
        } else if self.logs_cascades != found.logs_cascades {
            let logs = |yes| if yes { "logs" } else { "does not log" };
            return Err(Error::new(
                ErrorKind::SourceSetting,
                format!("the source {} what its foreign keys change now", logs(found.logs_cascades)),
            )
            .detail(format!("{} it, and what is not read yet may be written either way", if self.logs_cascades { "it logged" } else { "it did not log" }))
            .with_hint(
                "set innodb_native_foreign_keys (or the server's version) back; to go on under the new setting copy anew: \
                 `sirenia reset --yes` and `sirenia run`",
            ));
        } else {
            return Ok(());
        };
        Err(swapped(what))
    }

    /// Compares with the format description of the binlog file that is read now.
    ///
    /// # Errors
    /// [`ErrorKind::SourceIdentity`] when a file of the same name was created at another time or by another server.
    pub fn check_file(&self, found: &Self) -> Result<()> {
        let same_file = self.binlog_created != 0 && self.binlog_file == found.binlog_file;
        let differs = (self.binlog_created, self.binlog_server_id) != (found.binlog_created, found.binlog_server_id);
        if same_file && differs {
            return Err(swapped(format!(
                "binlog file {} was created at {} by server {} when the checkpoint was taken, now at {} by server {}",
                self.binlog_file,
                self.binlog_created,
                self.binlog_server_id,
                found.binlog_created,
                found.binlog_server_id
            )));
        }
        Ok(())
    }

    /// The error for a log whose newest file comes before the checkpoint's.
    #[must_use]
    pub fn newer_than(&self, newest: &str) -> Error {
        swapped(format!(
            "the checkpoint lies in binlog file {}, the newest one there is now {newest}",
            self.binlog_file
        ))
    }
}

fn swapped(what: String) -> Error {
    Error::new(ErrorKind::SourceIdentity, "the source is not the server that the checkpoint was taken on")
        .detail(what)
        .with_hint("check the source's address; to copy from this server anew: `sirenia reset --yes` and `sirenia run`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> SourceIdentity {
        SourceIdentity {
            flavor: Flavor::MySql,
            version: "9.7.4".into(),
            server_uuid: Some("a".into()),
            server_id: 1,
            binlog_file: "b.000001".into(),
            binlog_created: 7,
            binlog_server_id: 1,
            logs_cascades: true,
        }
    }

    #[test]
    fn another_server_or_another_way_of_logging_is_refused() {
        let known = identity();
        known.check_server(&SourceIdentity { version: "9.7.5".into(), ..identity() }).unwrap();
        let kind = |found: SourceIdentity| known.check_server(&found).unwrap_err().kind();
        assert_eq!(kind(SourceIdentity { server_uuid: Some("b".into()), ..identity() }), ErrorKind::SourceIdentity);
        assert_eq!(kind(SourceIdentity { server_id: 2, ..identity() }), ErrorKind::SourceIdentity);
        assert_eq!(kind(SourceIdentity { logs_cascades: false, ..identity() }), ErrorKind::SourceSetting);
    }

    #[test]
    fn another_file_of_the_same_name_is_refused() {
        let known = identity();
        known.check_file(&SourceIdentity { binlog_file: "b.000002".into(), binlog_created: 9, ..identity() }).unwrap();
        let error = known.check_file(&SourceIdentity { binlog_created: 9, ..identity() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceIdentity);
    }
}
