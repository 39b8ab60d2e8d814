//! The source's schema by version, since the log's events are decoded with the schema they were written under.
//!
//! Kept as MessagePack with field names, so that a newer program can read what an older one wrote. Versions count from
//! 1 per pipeline; the checkpoint names the one in force at its position.

use super::error::on;
use super::{from_json, to_json};
use crate::error::{Error, ErrorKind, Result};
use crate::position::Position;
use crate::schema::Catalog;
use tokio_postgres::GenericClient;

/// The DDL statement that led to a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Led {
    /// Verb and table.
    pub statement: String,
    /// Whether it stands inside a transaction whose rows are still to come.
    pub inside: bool,
}

/// Adds the schema that is in force from `position` on and makes the checkpoint name it. Within a fenced transaction,
/// that of the DDL statement. Returns its version.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn add<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    position: &Position,
    catalog: &Catalog,
    led_to_by: Option<&Led>,
) -> Result<i64> {
    let bytes = rmp_serde::to_vec_named(catalog)
        .map_err(|error| Error::new(ErrorKind::Bug, "encoding the source's schema").detail(error.to_string()))?;
    let row = client
        .query_one(
            "WITH added AS (
                 INSERT INTO sirenia.schema_version (pipeline, version, position, catalog, statement, inside)
                 SELECT $1, coalesce(max(version), 0) + 1, $2::text::jsonb, $3, $4, $5
                   FROM sirenia.schema_version WHERE pipeline = $1
                 RETURNING version)
             UPDATE sirenia.checkpoint SET schema_version = added.version FROM added
              WHERE pipeline = $1 RETURNING added.version",
            &[
                &pipeline,
                &to_json(position)?,
                &bytes,
                &led_to_by.map(|led| led.statement.as_str()),
                &led_to_by.is_some_and(|led| led.inside),
            ],
        )
        .await
        .map_err(on("recording the source's schema"))?;
    Ok(row.get(0))
}

/// Puts another schema in the place of a version's: what the tables that were just copied anew are by now. The version
/// gets a new number, at the same position and for the same statement.
///
/// # Errors
/// As [`super::classify`] says.
pub async fn renew<C: GenericClient + Sync>(
    client: &C,
    pipeline: &str,
    version: i64,
    catalog: &Catalog,
) -> Result<i64> {
    let (position, _) = load(client, pipeline, version).await?;
    let row = client
        .query_one(
            "SELECT statement, inside FROM sirenia.schema_version WHERE pipeline = $1 AND version = $2",
            &[&pipeline, &version],
        )
        .await
        .map_err(on("reading the source's schema"))?;
    let led = Led { statement: row.get::<_, Option<String>>(0).unwrap_or_default(), inside: row.get(1) };
    add(client, pipeline, &position, catalog, Some(&led).filter(|led| !led.statement.is_empty())).await
}

/// The position of the statement that led to a version, if it stands inside a transaction.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when it cannot be read.
pub async fn inside<C: GenericClient + Sync>(client: &C, pipeline: &str, version: i64) -> Result<Option<Position>> {
    let row = client
        .query_opt(
            "SELECT position::text FROM sirenia.schema_version WHERE pipeline = $1 AND version = $2 AND inside",
            &[&pipeline, &version],
        )
        .await
        .map_err(on("reading the source's schema"))?;
    row.map(|row| from_json(row.get(0), "the schema version's position")).transpose()
}

/// Reads a version: the position it holds from, and the tables.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when it does not exist or cannot be read.
pub async fn load<C: GenericClient + Sync>(client: &C, pipeline: &str, version: i64) -> Result<(Position, Catalog)> {
    let row = client
        .query_opt(
            "SELECT position::text, catalog FROM sirenia.schema_version WHERE pipeline = $1 AND version = $2",
            &[&pipeline, &version],
        )
        .await
        .map_err(on("reading the source's schema"))?;
    let broken = |why: String| {
        Error::new(ErrorKind::Corrupt, format!("version {version} of the source's schema cannot be read")).detail(why)
    };
    let row = row.ok_or_else(|| broken("it is not in sirenia.schema_version".into()))?;
    let catalog = rmp_serde::from_slice(row.get(1)).map_err(|error| broken(error.to_string()))?;
    Ok((from_json(row.get(0), "the schema version's position")?, catalog))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::checkpoint::{self, Bootstrap, Phase};
    use crate::target::testing::{self, example};

    #[tokio::test]
    async fn versions_count_up_and_are_read_back() {
        let database = testing::prepared().await;
        let mut client = database.connect().await;
        let epoch = testing::hold(&database, "p").await;
        let first = Catalog { tables: vec![(*example::plan("a").source).clone()] };
        let bootstrap = Bootstrap {
            position: &example::position(4),
            source_identity: &example::identity(),
            phase: Phase::Snapshot,
            catalog: &first,
            tables: &[],
        };
        checkpoint::create(&mut client, "p", epoch, &bootstrap).await.unwrap();
        let second = Catalog::default();
        assert_eq!(add(&*client, "p", &example::position(9), &second, None).await.unwrap(), 2);
        assert_eq!(load(&*client, "p", 1).await.unwrap(), (example::position(4), first));
        assert_eq!(load(&*client, "p", 2).await.unwrap(), (example::position(9), second));
        assert_eq!(checkpoint::load(&*client, "p").await.unwrap().unwrap().schema_version, 2);
        assert_eq!(load(&*client, "p", 3).await.unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
