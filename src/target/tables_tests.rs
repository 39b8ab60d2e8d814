//! Conflicts with what stands in the target, and the reset.

use super::*;
use crate::convert::plan::PgType;
use crate::schema::Catalog;
use crate::target::checkpoint::{self, Bootstrap, Phase};
use crate::target::progress::NewTable;
use crate::target::testing::{self, example};

async fn conflict_of(client: &Client, plans: &[Arc<TablePlan>]) -> Error {
    let error = check_tables(client, "p", plans).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetConflict);
    error
}

/// The pipeline runs these in tasks of a multi-threaded runtime.
#[allow(dead_code)]
fn futures_are_send(client: &'static mut Client, plans: &'static [Arc<TablePlan>]) {
    fn send(_: impl Send) {}
    send(check_tables(&*client, "p", plans));
    send(create_tables(&*client, plans));
    send(crate::target::objects::reconcile(&*client, plans, crate::target::objects::Scope::default()));
    send(crate::target::objects::apply(&*client, &[]));
    send(drop_everything(client, "p", 1));
}

#[tokio::test]
async fn tables_are_made_once_with_every_type() {
    let database = testing::database().await;
    let client = &*database.connect().await;
    let plan = Arc::new(TablePlan { target: TargetName::new("New Lab", "Every \"Type\""), ..example::every_type() });
    let plans = [plan.clone()];
    check_tables(client, "p", &plans).await.unwrap();
    assert_eq!(create_tables(client, &plans).await.unwrap().len(), 1);
    // empty and equal: this is also the proof that format_type and PgType::sql agree
    check_tables(client, "p", &plans).await.unwrap();
    assert!(create_tables(client, &plans).await.unwrap().is_empty());
}

#[tokio::test]
async fn somebody_elses_tables_are_conflicts() {
    let database = testing::prepared().await;
    let client = &*database.connect().await;
    let plan = Arc::new(example::plan("Pasien"));
    let plans = [plan.clone()];
    create_tables(client, &plans).await.unwrap();
    client.batch_execute("INSERT INTO public.\"Pasien\" VALUES (1, 'a'), (2, 'b')").await.unwrap();
    let error = conflict_of(client, &plans).await;
    assert!(error.message().contains("public.Pasien: holds 2 rows of somebody else"), "{error}");
    assert!(error.hint().unwrap().contains("DROP TABLE \"public\".\"Pasien\";"), "{error:?}");
    assert!(error.hint().unwrap().contains("rename"));

    client.batch_execute("TRUNCATE public.\"Pasien\"").await.unwrap();
    for (change, expected) in [
        ("ADD COLUMN z int", "column \"z\" (integer) exists but is not planned"),
        ("DROP COLUMN z, ALTER COLUMN \"Full Name\" SET NOT NULL", "is NOT NULL but the source allows NULL"),
        ("ALTER COLUMN \"Full Name\" TYPE text", "\"Full Name\" is text but character varying(40) is planned"),
        ("DROP COLUMN \"Full Name\"", "\"Full Name\" (character varying(40)) is planned but does not exist"),
    ] {
        client.batch_execute(&format!("ALTER TABLE public.\"Pasien\" {change}")).await.unwrap();
        let error = conflict_of(client, &plans).await;
        assert!(error.message().contains(expected), "{error}");
    }
    client.batch_execute("DROP TABLE public.\"Pasien\"").await.unwrap();
    create_tables(client, &plans).await.unwrap();
    client
        .batch_execute(
            "ALTER TABLE public.\"Pasien\" ADD PRIMARY KEY (\"ID\");
             CREATE INDEX i ON public.\"Pasien\" (\"Full Name\")",
        )
        .await
        .unwrap();
    check_tables(client, "p", &plans).await.unwrap();
    for (change, expected) in [
        ("CREATE UNIQUE INDEX u ON public.\"Pasien\" (\"Full Name\")", "unique index \"u\""),
        (
            "CREATE TRIGGER t BEFORE UPDATE ON public.\"Pasien\" FOR EACH ROW EXECUTE FUNCTION
             suppress_redundant_updates_trigger()",
            "trigger \"t\"",
        ),
        ("ALTER TABLE public.\"Pasien\" ADD FOREIGN KEY (\"ID\") REFERENCES public.\"Pasien\"", "foreign key"),
    ] {
        client.batch_execute(change).await.unwrap();
        let error = conflict_of(client, &plans).await;
        assert!(error.message().contains(expected), "{error}");
    }
    client.batch_execute("DROP TABLE public.\"Pasien\"; CREATE VIEW public.\"Pasien\" AS SELECT 1").await.unwrap();
    let error = conflict_of(client, &plans).await;
    assert!(error.message().contains("a view of that name exists"), "{error}");
    assert!(error.hint().unwrap().contains("DROP VIEW \"public\".\"Pasien\";"), "{error:?}");

    let twice = [plan.clone(), Arc::new(example::plan("Pasien"))];
    client.batch_execute("DROP VIEW public.\"Pasien\"").await.unwrap();
    assert!(conflict_of(client, &twice).await.message().contains("both"));
}

#[tokio::test]
async fn a_reset_drops_what_was_made_and_empties_what_was_adopted() {
    let database = testing::prepared().await;
    let mut client = database.connect().await;
    let epoch = testing::hold(&database, "p").await;
    let plans = [Arc::new(example::plan("Made")), Arc::new(example::plan("Adopted"))];
    create_tables(&*client, &plans[1..]).await.unwrap();
    let made = create_tables(&*client, &plans).await.unwrap();
    let tables: Vec<NewTable> = plans
        .iter()
        .map(|plan| NewTable {
            source: plan.source.name.clone(),
            target: plan.target.clone(),
            adopted: !made.contains(&plan.target),
            copy_group: None,
            shape: "as planned".into(),
        })
        .collect();
    let bootstrap = Bootstrap {
        position: &example::position(4),
        source_identity: &example::identity(),
        phase: Phase::Snapshot,
        catalog: &Catalog::default(),
        tables: &tables,
    };
    checkpoint::create(&mut client, "p", epoch, &bootstrap).await.unwrap();
    client
        .batch_execute("INSERT INTO public.\"Made\" VALUES (1); INSERT INTO public.\"Adopted\" VALUES (1)")
        .await
        .unwrap();
    // ours, rows and all; but not another pipeline's
    check_tables(&*client, "p", &plans).await.unwrap();
    let error = check_tables(&*client, "q", &plans).await.unwrap_err();
    assert!(error.message().contains("belongs to Lab.Made of pipeline p"), "{error}");
    assert!(error.to_string().contains("public.Adopted: belongs to") && !error.hint().unwrap().contains("DROP"));

    client.batch_execute("CREATE VIEW public.v AS SELECT * FROM public.\"Made\"").await.unwrap();
    let error = drop_everything(&mut client, "p", epoch).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TargetConflict);
    client.batch_execute("DROP VIEW public.v").await.unwrap();
    assert_eq!(drop_everything(&mut client, "p", epoch - 1).await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(drop_everything(&mut client, "p", epoch).await.unwrap().len(), 2);
    assert_eq!(catalog::read_table(&*client, &plans[0].target).await.unwrap(), None);
    assert_eq!(catalog::count_rows(&*client, &plans[1].target, 9).await.unwrap(), 0);
    assert_eq!(checkpoint::load(&*client, "p").await.unwrap(), None);
    assert!(drop_everything(&mut client, "p", epoch).await.unwrap().is_empty());
}

#[tokio::test]
async fn too_little_privilege_names_the_grant() {
    let database = testing::database().await;
    let admin = database.connect().await;
    let role = format!("maker_{}", database.config.database);
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'x'")).await.unwrap();
    let config = crate::target::TargetConfig { user: role.clone(), password: "x".into(), ..database.config.clone() };
    let client = crate::target::connect(&config, "test").await.unwrap();
    let plan = |schema: &str| {
        let mut plan = example::plan("t");
        plan.target.schema = schema.into();
        plan.columns[1].ty = PgType::Text;
        [Arc::new(plan)]
    };
    for (schema, grant) in [
        ("new", format!("CREATE SCHEMA IF NOT EXISTS \"new\" AUTHORIZATION \"{role}\";")),
        ("public", format!("GRANT USAGE, CREATE ON SCHEMA \"public\" TO \"{role}\";")),
    ] {
        let error = create_tables(&*client, &plan(schema)).await.unwrap_err();
        assert_eq!((error.kind(), error.hint()), (ErrorKind::AccessDenied, Some(grant.as_str())));
        admin.batch_execute(&grant).await.unwrap();
        create_tables(&*client, &plan(schema)).await.unwrap();
    }
}
