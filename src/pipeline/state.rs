//! What every part of a running pipeline shares: settings, addresses, the schema, the epoch.

use super::throttle::Throttle;
use crate::config::{self, Config, Endpoint};
use crate::convert::plan::TablePlan;
use crate::convert::sanitize::Total;
use crate::error::Result;
use crate::ident::TableName;
use crate::identity::SourceIdentity;
use crate::mapping::Mapping;
use crate::position::BinlogOffset;
use crate::schema::Catalog;
use crate::source::connect::SourceConfig;
use crate::source::server::ServerFacts;
use crate::status::Shared;
use crate::target::lease::application_name;
use crate::target::{Connection, TargetConfig, connect};
use crate::{source, target};
use std::sync::Arc;

/// One attempt's constants: made by bootstrap, read by snapshot and stream.
pub struct Context {
    /// The settings.
    pub config: Arc<Config>,
    /// Status and metrics.
    pub shared: Arc<Shared>,
    /// Where the source is.
    pub source: SourceConfig,
    /// Where the target is.
    pub target: TargetConfig,
    /// The source server's settings as they are now.
    pub facts: ServerFacts,
    /// The source's schema that rows are decoded with.
    pub catalog: Catalog,
    /// What becomes of each table, in the catalogue's order.
    pub plans: Vec<Arc<TablePlan>>,
    /// Where the DDL statement stands inside a transaction that this schema is the outcome of, if it does.
    pub inside: Option<BinlogOffset>,
    /// The lease's epoch, without which nothing can be written.
    pub epoch: i64,
    /// Our id as a replica of the source.
    pub server_id: u32,
    /// What readers of a copy pass between two chunks.
    pub throttle: Arc<Throttle>,
}

impl Context {
    /// A session on the target that a successor can find and end.
    ///
    /// # Errors
    /// Those of [`connect()`].
    pub async fn connect_writer(&self) -> Result<Connection> {
        connect(&self.target, &application_name(&self.config.pipeline, self.epoch)).await
    }

    /// The same with another schema, as of behind a DDL statement; `inside`: where it stands, if inside a transaction.
    #[must_use]
    pub fn behind(&self, catalog: Catalog, plans: Vec<Arc<TablePlan>>, inside: Option<BinlogOffset>) -> Self {
        Self {
            config: Arc::clone(&self.config),
            shared: Arc::clone(&self.shared),
            source: self.source.clone(),
            target: self.target.clone(),
            facts: self.facts.clone(),
            catalog,
            plans,
            inside,
            epoch: self.epoch,
            server_id: self.server_id,
            throttle: Arc::clone(&self.throttle),
        }
    }

    /// Whether the source takes two names of databases or tables for one.
    #[must_use]
    pub fn same_name(&self, a: &str, b: &str) -> bool {
        a == b || (self.facts.lower_case_table_names != 0 && a.to_lowercase() == b.to_lowercase())
    }

    /// Whether the source takes two names for one table's.
    #[must_use]
    pub fn same_table(&self, a: &TableName, b: &TableName) -> bool {
        self.same_name(&a.database, &b.database) && self.same_name(&a.table, &b.table)
    }

    /// Counts values that were changed to fit and are committed on the target. Logged once a minute for each column and
    /// reason, with the count since the last line.
    pub fn count_sanitized(&self, totals: &[Total]) {
        for Total { table, column, reason, count, .. } in totals {
            let source = &self.plans[*table].source;
            let column = &source.columns[*column].name;
            self.shared.metrics.add_sanitized(&source.name.to_string(), column, reason.name(), *count);
            if let Some(count) = self.shared.tell((source.name.to_string(), column.clone(), reason.name()), *count) {
                tracing::warn!(table = %source.name, column, reason = reason.name(), count, "values were changed to fit");
            }
        }
    }
}

/// Where the source is, by the settings.
#[must_use]
pub fn source_config(config: &Config) -> SourceConfig {
    source_address(&config.source, &config.mapping)
}

/// The same of its parts.
#[must_use]
pub fn source_address(endpoint: &Endpoint, mapping: &Mapping) -> SourceConfig {
    SourceConfig {
        host: endpoint.host.clone(),
        port: endpoint.port,
        user: endpoint.user.clone(),
        password: endpoint.password.clone(),
        databases: mapping.databases.keys().cloned().collect(),
        tls: match endpoint.tls {
            config::Tls::Off => source::connect::Tls::Off,
            config::Tls::Prefer => source::connect::Tls::Prefer,
            config::Tls::Require => source::connect::Tls::Require,
            config::Tls::VerifyFull => source::connect::Tls::VerifyFull,
        },
        ca_file: endpoint.ca_file.clone(),
        socket: endpoint.socket.clone(),
    }
}

/// Where the target is, by the settings.
#[must_use]
pub fn target_config(config: &Config) -> TargetConfig {
    let endpoint = &config.target;
    let socket = endpoint.socket.as_ref().map(|path| path.display().to_string());
    TargetConfig {
        host: socket.unwrap_or_else(|| endpoint.host.clone()),
        port: endpoint.port,
        user: endpoint.user.clone(),
        password: endpoint.password.clone(),
        database: endpoint.database.clone(),
        tls: match endpoint.tls {
            config::Tls::Off => target::Tls::Off,
            config::Tls::Prefer => target::Tls::Prefer,
            config::Tls::Require => target::Tls::Require,
            config::Tls::VerifyFull => target::Tls::VerifyFull,
        },
        ca_file: endpoint.ca_file.clone(),
    }
}

/// The source's identity as its facts show it, before any binlog file was read.
#[must_use]
pub fn identity_of(facts: &ServerFacts) -> SourceIdentity {
    SourceIdentity {
        flavor: facts.flavor,
        version: facts.version_text.clone(),
        server_uuid: facts.server_uuid.clone(),
        server_id: facts.server_id,
        binlog_file: String::new(),
        binlog_created: 0,
        binlog_server_id: 0,
        logs_cascades: facts.logs_cascades,
    }
}
