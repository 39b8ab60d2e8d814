//! What a run would do, seen before the first one: read from the source, in a bounded number of its rows, and changing nothing.

mod rate;

pub use rate::{ASSUMED_BYTES_PER_SECOND, Rate};

use crate::config::Config;
use crate::convert::objects::NotCarried;
use crate::convert::plan::{PgType, TablePlan};
use crate::convert::reasons;
use crate::error::Result;
use crate::pipeline::bootstrap::{plans_of, type_options};
use crate::pipeline::state::source_config;
use crate::policy::Reason;
use crate::source::row_image::RowImage;
use crate::source::server::ServerFacts;
use crate::source::snapshot::groups::{CopyGroup, copy_groups, why_exact};
use crate::source::{catalog, connect::connect_read_only, probe};
use crate::target::objects::{self, Step};
use serde::Serialize;
use std::sync::Arc;

/// Rows of a table that are looked at for values that do not fit.
pub const LOOKED_AT: u64 = 100_000;

/// The plan.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The tables, in the order in which they are copied.
    pub tables: Vec<Table>,
    /// Values that do not fit.
    pub lossy: Vec<Lossy>,
    /// Columns `tinyint(1)` in which other values than 0 and 1 stand, with how many rows; all others could be `boolean`.
    pub not_boolean: Vec<(String, u64)>,
    /// Columns `tinyint(1)`.
    pub tinyint1: usize,
    /// Tables that have no key: their changes match whole rows.
    pub without_key: Vec<String>,
    /// What the target does not get.
    pub not_carried: Vec<Left>,
    /// Rows of all tables, by the source's estimate.
    pub rows: u64,
    /// Bytes of all tables, by the source's estimate.
    pub bytes: u64,
    /// How long the first copy may take, in seconds, indexes not counted.
    pub seconds: f64,
    /// How that was estimated.
    pub rate: Rate,
    /// What makes all of it on an empty target.
    pub steps: Vec<Step>,
}

/// One table.
#[derive(Debug, Serialize)]
pub struct Table {
    /// `database.table`
    pub source: String,
    /// `schema.table`
    pub target: String,
    /// By the source's estimate.
    pub rows: u64,
    /// By the source's estimate.
    pub bytes: u64,
    /// Why it is read exactly, as of one moment, and not in chunks; none for chunks.
    pub exact: Option<String>,
    /// Whether only some rows are carried.
    pub filtered: bool,
    /// All columns of the source, those among them that are left out.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Debug, Serialize)]
pub struct Column {
    /// Its name on the source.
    pub source: String,
    /// Its type there.
    pub declared: String,
    /// Its name on the target; none when it is left out.
    pub target: Option<String>,
    /// Its type there.
    pub ty: Option<String>,
    /// Why that is not simply the default.
    pub why: Option<String>,
}

/// Values that do not fit.
#[derive(Debug, Serialize)]
pub struct Lossy {
    /// `database.table.column`
    pub column: String,
    /// Why.
    pub reason: &'static str,
    /// In how many rows.
    pub rows: u64,
    /// Of how many that were looked at.
    pub of: u64,
    /// What becomes of them.
    pub policy: &'static str,
    /// The settings that decide.
    pub setting: String,
}

/// Something that the target does not get.
#[derive(Debug, Serialize)]
pub struct Left {
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

/// Looks at the source, and for the rate at the target.
///
/// # Errors
/// Those of the source and of the type map. A target that does not answer is no error: then the rate is assumed.
pub async fn plan(config: &Config) -> Result<Plan> {
    let address = source_config(config);
    let mut conn = connect_read_only(&address).await?;
    let facts = ServerFacts::read(&mut conn).await?;
    let catalog = catalog::read_settled(&mut conn, facts.flavor, &config.mapping).await?;
    let plans = plans_of(&catalog, config)?;
    let options = type_options(config)?;
    let image = RowImage::of(&facts);
    let mut plan = Plan {
        tables: Vec::new(),
        lossy: Vec::new(),
        not_boolean: Vec::new(),
        tinyint1: 0,
        without_key: Vec::new(),
        not_carried: Vec::new(),
        rows: 0,
        bytes: 0,
        seconds: 0.0,
        rate: Rate::default(),
        steps: objects::from_nothing(&plans)?,
    };
    for group in copy_groups(&catalog, facts.logs_cascades, image) {
        let (tables, exact) = match group {
            CopyGroup::Chunked(table) => (vec![table], false),
            CopyGroup::Exact(tables) => (tables, true),
        };
        for source in tables.into_iter().map(|at| &catalog.tables[at]) {
            let Some(planned) = plans.iter().find(|plan| plan.source.name == source.name) else { continue };
            let why = exact.then(|| {
                let alone = why_exact(source, facts.logs_cascades, image);
                alone.unwrap_or("foreign keys act through it, in a chain").to_owned()
            });
            plan.add(planned, why, config, &options);
            plan.doubt(&mut conn, planned).await?;
        }
    }
    let _ = conn.disconnect().await;
    plan.rate = rate::measure(config, &address, &plans).await;
    plan.seconds = plan.bytes as f64 / plan.rate.bytes_per_second;
    Ok(plan)
}

impl Plan {
    fn add(
        &mut self,
        plan: &Arc<TablePlan>,
        exact: Option<String>,
        config: &Config,
        options: &crate::convert::typemap::TypeOptions,
    ) {
        let source = &plan.source;
        let column = |(at, column): (usize, &crate::schema::Column)| {
            let planned = plan.columns.iter().find(|planned| planned.source == at);
            let left_out = "left out, by exclude_columns or mask = \"drop\"";
            Column {
                source: column.name.clone(),
                declared: column.declared.clone(),
                target: planned.map(|planned| planned.name.clone()),
                ty: planned.map(|planned| planned.ty.sql()),
                why: match planned {
                    Some(planned) => reasons::why(plan, planned, &config.mapping, options),
                    None => Some(left_out.into()),
                },
            }
        };
        self.tables.push(Table {
            source: source.name.to_string(),
            target: plan.target.to_string(),
            rows: source.estimated_rows,
            bytes: source.estimated_bytes,
            exact,
            filtered: !plan.rows.is_empty(),
            columns: source.columns.iter().enumerate().map(column).collect(),
        });
        self.rows += source.estimated_rows;
        self.bytes += source.estimated_bytes;
        if !plan.has_key() {
            self.without_key.push(source.name.to_string());
        }
        self.not_carried.extend(plan.objects.not_carried.iter().map(|thing: &NotCarried| Left {
            what: format!("{} {} of {}", thing.object, thing.name, thing.table),
            why: thing.reason.clone(),
        }));
    }

    /// Has the source count values that do not fit.
    async fn doubt(&mut self, conn: &mut crate::source::Conn, plan: &TablePlan) -> Result<()> {
        let of = |column: &crate::convert::plan::PlannedColumn| {
            let reasons = reasons::doubts(plan, column);
            reasons.into_iter().map(|reason| (column.source, reason)).collect::<Vec<_>>()
        };
        let doubts: Vec<(usize, Reason)> = plan.columns.iter().flat_map(of).collect();
        if doubts.is_empty() {
            return Ok(());
        }
        let (looked_at, counts) = probe::count(conn, &plan.source, &doubts, LOOKED_AT).await?;
        for ((source, reason), rows) in doubts.into_iter().zip(counts) {
            let name = format!("{}.{}", plan.source.name, plan.source.columns[source].name);
            let Some(column) = plan.columns.iter().find(|column| column.source == source) else { continue };
            if reason == Reason::NotBoolean {
                self.tinyint1 += 1;
                if rows > 0 {
                    self.not_boolean.push((name.clone(), rows));
                }
                if column.ty != PgType::Boolean {
                    continue;
                }
            }
            if rows > 0 {
                let policy = column.policies.of(reason).name();
                self.lossy.push(Lossy {
                    column: name,
                    reason: reason.name(),
                    rows,
                    of: looked_at,
                    policy,
                    setting: setting(reason),
                });
            }
        }
        Ok(())
    }
}

fn setting(reason: Reason) -> String {
    let types = match reason {
        Reason::NotBoolean => "[types] tinyint1 = \"smallint\" keeps them; else ",
        Reason::OutOfRange => "[types] bigint_unsigned = \"numeric\" keeps them; else ",
        _ => "",
    };
    format!("{types}[sanitize] {}", reason.name())
}
