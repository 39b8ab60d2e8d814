//! Reconciliation against a real server.

use super::*;
use crate::convert::sample::{int, mapping, table};
use crate::convert::typemap::{self, TypeOptions};
use crate::schema::{Action, Catalog, Charset, Check, ColumnDefault, IndexKind, SourceType, TableSchema};
use crate::target::testing;
use tokio_postgres::Client;

fn text(collation: &str) -> SourceType {
    SourceType::VarChar { chars: 40, charset: Charset { name: "utf8mb4".into(), collation: collation.into() } }
}

fn plans(tables: Vec<TableSchema>, options: &TypeOptions) -> Vec<Arc<TablePlan>> {
    typemap::plan(&Catalog { tables }, &mapping([]), options).unwrap().into_iter().map(Arc::new).collect()
}

/// Two tables with an object of every kind.
fn everything() -> Vec<TableSchema> {
    let labels = vec!["baru".to_owned(), "it's \\ lama".to_owned()];
    let columns = [
        ("id", int(8, true)),
        ("nama", text("utf8mb4_unicode_ci")),
        ("jenis", SourceType::Enum { labels }),
        ("dibuat", SourceType::Timestamp { fsp: 0 }),
        ("tags?", SourceType::Set { members: vec!["a".into()] }),
        ("umur?", int(2, false)),
    ];
    let mut parent = table("Induk \"1\"", &columns)
        .primary(&[0])
        .indexed("nama", IndexKind::Plain, &[1])
        .indexed("kata", IndexKind::Plain, &[1])
        .indexed("awal", IndexKind::Plain, &[1])
        .indexed("kecil", IndexKind::Plain, &[1])
        .indexed("jenis", IndexKind::Unique, &[2, 5]);
    parent.columns[0].auto_increment = true;
    parent.columns[1].default = Some(ColumnDefault::Literal("tanpa 'nama'".into()));
    parent.columns[2].default = Some(ColumnDefault::Literal("baru".into()));
    parent.columns[3].default = Some(ColumnDefault::Expression("current_timestamp()".into()));
    parent.columns[4].default = Some(ColumnDefault::Literal("a".into()));
    parent.columns[5].default = Some(ColumnDefault::Literal("-1".into()));
    parent.columns[1].comment = "Nama lengkap".into();
    parent.comment = "Para induk".into();
    parent.checks = vec![Check { name: "umur".into(), condition: "`umur` between 0 and 150".into(), enforced: true }];
    parent.indexes[2].method = "FULLTEXT".into();
    parent.indexes[3].parts[0].prefix = Some(5);
    parent.indexes[4].parts[0].column = None;
    parent.indexes[4].parts[0].expression = Some("lower(`nama`)".into());
    let child = table("anak", &[("id", int(4, false)), ("induk?", int(8, true))])
        .primary(&[0])
        .indexed("induk", IndexKind::Plain, &[1])
        .refers("induk", "Induk \"1\"", "id");
    vec![parent, child]
}

/// Brings everything in line and returns the steps that were needed.
async fn made(client: &mut Client, plans: &[Arc<TablePlan>]) -> Vec<Step> {
    let found = reconcile(&*client, plans, Scope::default()).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let applied = apply(&transaction, &found.steps).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(applied.left_out.is_empty(), "{:?}", applied.left_out);
    found.steps
}

async fn nothing_is_left(client: &Client, plans: &[Arc<TablePlan>]) {
    let found = reconcile(client, plans, Scope::default()).await.unwrap();
    assert!(found.steps.is_empty(), "{:#?}", found.steps);
}

#[tokio::test]
async fn every_kind_is_made_once_and_mended_when_damaged() {
    let database = testing::database().await;
    let client = &mut *database.connect().await;
    for options in [TypeOptions::default(), TypeOptions { native_enum: true, ..TypeOptions::default() }] {
        client.batch_execute("DROP SCHEMA public CASCADE").await.unwrap();
        let plans = plans(everything(), &options);
        let steps = made(client, &plans).await;
        assert_eq!(steps.iter().filter(|step| step.object == ObjectKind::ForeignKey).count(), 1, "{steps:#?}");
        nothing_is_left(client, &plans).await;
        let t = "public.\"Induk \"\"1\"\"\"";
        for damage in [
            format!("ALTER TABLE {t} ALTER nama SET DEFAULT 'x'"),
            format!("ALTER TABLE {t} ALTER nama DROP DEFAULT"),
            format!("ALTER TABLE {t} ALTER id DROP IDENTITY"),
            format!("ALTER TABLE {t} DROP CONSTRAINT umur"),
            format!("ALTER TABLE {t} RENAME CONSTRAINT umur TO lain"),
            format!("ALTER TABLE {t} DROP CONSTRAINT umur, ADD CONSTRAINT umur CHECK (umur > 3)"),
            format!("COMMENT ON COLUMN {t}.nama IS 'lain'"),
            format!("COMMENT ON TABLE {t} IS NULL"),
            format!("ALTER TABLE {t} ALTER umur SET NOT NULL"),
            "DROP INDEX public.\"Induk \"\"1\"\"_nama\"".into(),
            "ALTER INDEX public.\"Induk \"\"1\"\"_nama\" RENAME TO lain".into(),
            format!(
                "DROP INDEX public.\"Induk \"\"1\"\"_awal\"; CREATE INDEX \"Induk \"\"1\"\"_awal\" ON {t} (\"left\"(nama, 6))"
            ),
            "DROP INDEX public.\"Induk \"\"1\"\"_kata\"".into(),
            "DROP INDEX public.\"Induk \"\"1\"\"_jenis\"".into(),
            "ALTER TABLE public.anak DROP CONSTRAINT fk_induk".into(),
            "ALTER TABLE public.anak RENAME CONSTRAINT fk_induk TO lain".into(),
            format!(
                "ALTER TABLE public.anak DROP CONSTRAINT fk_induk, ADD CONSTRAINT fk_induk FOREIGN KEY (induk) REFERENCES {t} ON DELETE CASCADE"
            ),
            format!(
                "ALTER TABLE public.anak DROP CONSTRAINT fk_induk, ADD CONSTRAINT lain FOREIGN KEY (induk) REFERENCES {t}"
            ),
        ] {
            client.batch_execute(&damage).await.unwrap();
            let steps = made(client, &plans).await;
            assert_eq!(steps.len(), 1, "{damage}: {steps:#?}");
            nothing_is_left(client, &plans).await;
        }
        // half made: everything that hangs on the key goes with it
        client
            .batch_execute(&format!(
                "ALTER TABLE {t} DROP CONSTRAINT \"Induk \"\"1\"\"_pkey\" CASCADE, ADD PRIMARY KEY (nama)"
            ))
            .await
            .unwrap();
        made(client, &plans).await;
        nothing_is_left(client, &plans).await;
    }
}

#[tokio::test]
async fn what_was_not_planned_is_told_and_stays_unless_the_plan_had_it_before() {
    let database = testing::database().await;
    let client = &mut *database.connect().await;
    let before = plans(everything(), &TypeOptions::default());
    made(client, &before).await;
    client
        .batch_execute(
            "CREATE INDEX extra ON public.anak (id); ALTER TABLE public.anak ADD mine int;
             ALTER TABLE public.anak ALTER induk SET DEFAULT 4; COMMENT ON TABLE public.anak IS 'milik kami'",
        )
        .await
        .unwrap();
    let found = reconcile(&*client, &before, Scope::default()).await.unwrap();
    let names: Vec<&str> = found.extras.iter().map(|extra| extra.name.as_str()).collect();
    assert!(found.steps.is_empty() && names == ["mine", "extra", "induk"], "{found:?}");

    let mut source = everything();
    source[1].indexes.pop();
    source[1].foreign_keys.clear();
    source[0].columns[4].default = None;
    source[0].comment.clear();
    source[0].columns[0].auto_increment = false;
    source[0].checks.clear();
    let after = plans(source, &TypeOptions::default());
    let tables = [after[0].target.clone(), after[1].target.clone()];
    let scope = Scope { tables: Some(&tables), before: &before, ..Scope::default() };
    let found = reconcile(&*client, &after, scope).await.unwrap();
    let names: Vec<&str> = found.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["fk_induk", "anak_induk", "umur", "tags", "id", "Induk \"1\""]);
    assert_eq!(found.extras.len(), 3);
}

#[tokio::test]
async fn rows_without_a_parent_leave_the_key_unproven_and_a_value_too_long_leaves_the_index_out() {
    let database = testing::database().await;
    let client = &mut *database.connect().await;
    let mut source = everything();
    source[0].columns[1].ty = SourceType::Text {
        length_bytes: 4,
        charset: Charset { name: "utf8mb4".into(), collation: "utf8mb4_bin".into() },
    };
    source[0].indexes.remove(4);
    source[1].foreign_keys[0].on_delete = Action::SetNull;
    let plans = plans(source, &TypeOptions::default());
    let found = reconcile(&*client, &plans, Scope { without_foreign_keys: true, ..Scope::default() }).await.unwrap();
    let tables: Vec<Step> = found.steps.into_iter().filter(|step| step.object <= ObjectKind::Column).collect();
    let transaction = client.transaction().await.unwrap();
    apply(&transaction, &tables).await.unwrap();
    transaction
        .batch_execute(
            "INSERT INTO public.\"Induk \"\"1\"\"\" (id, nama, jenis, dibuat)
                 SELECT 1, string_agg(md5(random()::text), ''), 'baru', now() FROM generate_series(1, 300);
             INSERT INTO public.anak VALUES (1, 1), (2, 7), (3, NULL)",
        )
        .await
        .unwrap();
    let found = reconcile(&transaction, &plans, Scope::default()).await.unwrap();
    let applied = apply(&transaction, &found.steps).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(applied.unproven.iter().map(|key| key.orphans).collect::<Vec<_>>(), [1]);
    assert_eq!(applied.left_out.iter().map(|(step, _)| step.name.as_str()).collect::<Vec<_>>(), ["Induk \"1\"_nama"]);
    let found = reconcile(&*client, &plans, Scope::default()).await.unwrap();
    assert_eq!((found.steps.len(), found.unproven.len()), (1, 1), "{found:?}");
    clear(&*client, &plans).await.unwrap();
    assert_eq!(drop_foreign_keys(&*client, &[plans[0].target.clone()]).await.unwrap(), 0);
    client.batch_execute("TRUNCATE public.\"Induk \"\"1\"\"\"").await.unwrap();
}
