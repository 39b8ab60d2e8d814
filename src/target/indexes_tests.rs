//! Keys and indexes on real tables, made twice and against obstacles.

use super::*;
use crate::convert::plan::{IndexForm, PlannedColumn};
use crate::ident::TableName;
use crate::schema::{Action, Column, ForeignKey, SourceType};
use crate::target::objects::{self, ObjectKind, Scope};
use crate::target::tables::create_tables;
use crate::target::testing::{self, example};
use std::sync::Arc;
use tokio_postgres::Client;

fn index(name: &str, unique: bool, parts: &[(usize, Option<u32>, bool)]) -> PlannedIndex {
    PlannedIndex { name: name.into(), unique, parts: parts.to_vec(), form: IndexForm::Columns }
}

async fn made(client: &Client, plan: &TablePlan) {
    create_tables(client, &[Arc::new(plan.clone())]).await.unwrap();
}

/// Brings the indexes in line; returns what was left out.
async fn create_indexes(client: &Client, plan: &TablePlan) -> Result<Vec<String>> {
    let plans = [Arc::new(plan.clone())];
    let mut found = objects::reconcile(client, &plans, Scope::default()).await?;
    found.steps.retain(|step| matches!(step.object, ObjectKind::UniqueIndex | ObjectKind::Index));
    client.batch_execute("BEGIN").await.unwrap();
    let applied = objects::apply(client, &found.steps).await;
    client.batch_execute(if applied.is_ok() { "COMMIT" } else { "ROLLBACK" }).await.unwrap();
    Ok(applied?.left_out.iter().map(|(step, error)| format!("{}: {error}", step.name)).collect())
}

async fn definitions(client: &Client, plan: &TablePlan) -> Vec<String> {
    let table = catalog::read_table(client, &plan.target).await.unwrap().unwrap();
    table.indexes.into_iter().map(|index| index.definition).collect()
}

#[tokio::test]
async fn keys_and_indexes_are_made_once() {
    let database = testing::database().await;
    let client = &*database.connect().await;
    let mut plan = TablePlan { target: TargetName::new("public", "All \"of\" them"), ..example::every_type() };
    plan.key = vec![2, 0];
    plan.key_is_primary = true;
    plan.indexes = (0..plan.columns.len())
        .map(|at| index(&format!("By {}", plan.columns[at].name), at % 2 == 0, &[(at, None, at % 3 == 0)]))
        .collect();
    let at = |ty: &PgType| plan.columns.iter().position(|column| column.ty == *ty).unwrap();
    plan.indexes.push(index(
        "prefix",
        false,
        &[(at(&PgType::Text), Some(10), true), (at(&PgType::Bytea), Some(5), false)],
    ));
    made(client, &plan).await;
    for _ in 0..2 {
        create_primary_key(client, &plan).await.unwrap();
        let warnings = create_indexes(client, &plan).await.unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("json"), "{warnings:?}");
    }
    let all = definitions(client, &plan).await;
    assert_eq!(all.len(), plan.indexes.len(), "{all:?}"); // without json's, with the primary key's
    assert!(all.iter().any(|definition| definition.contains("\"All \"\"of\"\" them_pkey\"")), "{all:?}");
    let prefix = all.iter().find(|definition| definition.contains(" prefix ")).unwrap();
    assert!(prefix.contains("\"left\"(c9, 10) DESC") && prefix.contains("SUBSTRING(c10 FROM 1 FOR 5)"), "{prefix}");
}

#[tokio::test]
async fn what_acting_foreign_keys_need_comes_first_and_alone() {
    let database = testing::database().await;
    let client = &*database.connect().await;
    let mut plan = example::plan("Anak");
    let column = |name: &str| Column {
        name: name.into(),
        ty: SourceType::Int { bytes: 4, unsigned: false, boolean: false },
        declared: "int".into(),
        nullable: true,
        auto_increment: false,
        generated: false,
        generation: None,
        default: None,
        on_update_now: false,
        left_out: crate::schema::LeftOut::default(),
        comment: String::new(),
    };
    let key = ForeignKey {
        name: "anak_induk".into(),
        columns: vec!["induk".into()],
        parent: TableName::new("lab", "induk"),
        parent_columns: vec!["id".into()],
        on_delete: Action::Cascade,
        on_update: Action::Restrict,
    };
    let mut source = (*plan.source).clone();
    (source.columns, source.foreign_keys) = (vec![column("id"), column("induk")], vec![key]);
    plan.source = Arc::new(source);
    plan.indexes = vec![
        index("by_parent", false, &[(1, None, false)]),
        index("by_parent_too", true, &[(1, None, false)]),
        index("by_itself", false, &[(0, None, false)]),
    ];
    made(client, &plan).await;
    for _ in 0..2 {
        client.batch_execute("BEGIN").await.unwrap();
        create_reference_indexes(client, &plan).await.unwrap();
        client.batch_execute("COMMIT").await.unwrap();
        let made = definitions(client, &plan).await;
        assert!(made.len() == 1 && made[0].contains(" by_parent "), "{made:?}");
    }
    assert!(create_indexes(client, &plan).await.unwrap().is_empty());
    assert_eq!(definitions(client, &plan).await.len(), 3);
}

#[tokio::test]
async fn a_unique_key_is_not_built_twice() {
    let database = testing::database().await;
    let client = &*database.connect().await;
    let mut plan = example::plan("Kode");
    plan.key_is_primary = false;
    plan.indexes = vec![index("Kode_u", true, &[(0, None, false)])];
    made(client, &plan).await;
    create_primary_key(client, &plan).await.unwrap();
    create_primary_key(client, &plan).await.unwrap();
    assert!(create_indexes(client, &plan).await.unwrap().is_empty());
    assert_eq!(
        definitions(client, &plan).await,
        ["CREATE UNIQUE INDEX \"Kode_u\" ON public.\"Kode\" USING btree (\"ID\")"]
    );
}

#[tokio::test]
async fn names_taken_by_other_tables_are_evaded_once() {
    let database = testing::database().await;
    let client = &*database.connect().await;
    let mut plan = example::plan("a");
    plan.indexes = vec![index("b", false, &[(1, None, false)])];
    made(client, &plan).await;
    client.batch_execute("CREATE TABLE public.b (); CREATE TABLE public.a_pkey ()").await.unwrap();
    for _ in 0..2 {
        create_primary_key(client, &plan).await.unwrap();
        assert!(create_indexes(client, &plan).await.unwrap().is_empty());
    }
    assert_eq!(definitions(client, &plan).await.len(), 2);
}

#[tokio::test]
async fn another_definition_is_made_again_and_another_key_is_told() {
    let database = testing::database().await;
    let client = &*database.connect().await;
    let mut plan = example::plan("a");
    plan.indexes = vec![index("i", false, &[(1, None, false)])];
    made(client, &plan).await;
    client.batch_execute("CREATE INDEX i ON public.a (\"ID\")").await.unwrap();
    assert!(create_indexes(client, &plan).await.unwrap().is_empty());
    assert_eq!(definitions(client, &plan).await, ["CREATE INDEX i ON public.a USING btree (\"Full Name\")"]);

    client.batch_execute("ALTER TABLE public.a ADD PRIMARY KEY (\"Full Name\")").await.unwrap();
    let error = create_primary_key(client, &plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetConflict);
    assert!(error.to_string().contains("it is (\"Full Name\"), the source's is (\"ID\")"), "{error}");
}

#[tokio::test]
async fn long_values_and_equal_rows() {
    let database = testing::database().await;
    let client = &*database.connect().await;
    let mut plan = example::plan("a");
    plan.columns[1] = PlannedColumn { ty: PgType::Text, ..plan.columns[1].clone() };
    plan.indexes = vec![index("long", false, &[(1, None, false)])];
    made(client, &plan).await;
    // random text, since a compressible value fits an index row
    client
        .batch_execute(
            "INSERT INTO public.a SELECT 7, string_agg(md5(random()::text), '') FROM generate_series(1, 300);
             INSERT INTO public.a VALUES (7, 'geheim'), (8, 'geheim')",
        )
        .await
        .unwrap();
    let warnings = create_indexes(client, &plan).await.unwrap();
    assert!(warnings.len() == 1 && warnings[0].starts_with("long: "), "{warnings:?}");
    let error = create_primary_key(client, &plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetData);
    assert!(error.hint().unwrap().contains("(ID)"), "{error:?}");

    plan.indexes = vec![index("u", true, &[(1, None, false)])];
    let error = create_indexes(client, &plan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetData);
    assert!(!error.report().contains("geheim"));
}
