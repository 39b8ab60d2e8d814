//! Which server a checkpoint was taken on, and by what it is recognised again.
//!
//! A binlog position means nothing on another server, nor on the same one after `RESET MASTER` or a restore: then files
//! of the same name hold other events. So a checkpoint carries this beside its position, and a restart compares before it reads.

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
    /// same name has another.
    pub binlog_created: u32,
    /// The server id in that event's header.
    pub binlog_server_id: u32,
}
