//! Asks both servers whether a run would work, and changes nothing.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::identity::SourceIdentity;
use crate::key_graph::KeyGraph;
use crate::pipeline::bootstrap::plans_of;
use crate::pipeline::state::{identity_of, source_config, target_config};
use crate::source::preflight::{self, Warning};
use crate::source::server::ServerFacts;
use crate::source::{catalog, connect as source_connect};
use crate::target::{checkpoint, connect, control, privileges, tables};

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What prevents a run, each with its hint.
    pub problems: Vec<Error>,
    /// What does not, but should be known.
    pub warnings: Vec<Warning>,
    /// Facts: name and value.
    pub facts: Vec<(&'static str, String)>,
}

/// Looks at the source, then at the target. What cannot be reached is a problem like any other.
pub async fn check(config: &Config) -> Findings {
    let mut findings = Findings::default();
    let source = source(config, &mut findings).await.map_err(|error| findings.problems.push(error)).ok();
    if let Err(error) = target(config, source, &mut findings).await {
        findings.problems.push(error);
    }
    findings
}

struct Source {
    identity: SourceIdentity,
    plans: Vec<std::sync::Arc<crate::convert::plan::TablePlan>>,
}

async fn source(config: &Config, findings: &mut Findings) -> Result<Source> {
    let address = source_config(config);
    let mut conn = source_connect::connect(&address).await?;
    let facts = ServerFacts::read(&mut conn).await?;
    findings.facts.push(("source", facts.version_text.clone()));
    let catalog = catalog::read(&mut conn, facts.flavor, &config.mapping).await?;
    let rows: u64 = catalog.tables.iter().map(|table| table.estimated_rows).sum();
    findings.facts.push(("tables", format!("{} with about {rows} rows", catalog.tables.len())));
    let found = preflight::check(&address, &mut conn, &facts, &config.mapping, &catalog).await?;
    findings.facts.push(("start", found.way));
    findings.problems.extend(found.problems);
    findings.warnings.extend(found.warnings);
    let _ = conn.disconnect().await;
    let plans = plans_of(&catalog, config)?;
    KeyGraph::new(&plans, facts.logs_cascades)?;
    Ok(Source { identity: identity_of(&facts), plans })
}

async fn target(config: &Config, source: Option<Source>, findings: &mut Findings) -> Result<()> {
    let client = connect(&target_config(config), "sirenia check").await?;
    let version: String = client
        .query_one("SELECT current_setting('server_version')", &[])
        .await
        .map_err(|e| crate::target::classify(e, "reading the target's version"))?
        .get(0);
    findings.facts.push(("target", format!("PostgreSQL {version}")));
    let known = match control::version(&*client).await? {
        Some(_) => checkpoint::load(&*client, &config.pipeline).await?,
        None => None,
    };
    let Some(source) = source else { return Ok(()) };
    match known {
        Some(checkpoint) => {
            findings.facts.push(("checkpoint", format!("{} ({})", checkpoint.position, checkpoint.phase)));
            checkpoint.source_identity.check_server(&source.identity)
        }
        None => {
            findings.problems.extend(privileges::missing(&*client, &source.plans).await?);
            tables::check_tables(&*client, &config.pipeline, &source.plans).await
        }
    }
}
