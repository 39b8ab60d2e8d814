use super::*;
use crate::convert::Span;
use crate::convert::patch::sample::field;
use crate::convert::plan::PlannedColumn;
use crate::policy::Policies;
use crate::target::read::Tuples;
use crate::target::testing::{self, example};

/// An arena in the making, with the updates that lie in it.
#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    updates: Vec<Update>,
}

impl Made {
    fn span(&mut self, bytes: &[u8]) -> Span {
        self.bytes.extend_from_slice(bytes);
        Span { start: self.bytes.len() - bytes.len(), end: self.bytes.len() }
    }

    /// Columns with their fields, in order.
    fn update(&mut self, plan: &TablePlan, key: &[u8], columns: &[(usize, Vec<u8>)]) {
        let mut patch = vec![0; plan.columns.len().div_ceil(8)];
        columns.iter().for_each(|(column, _)| patch[column / 8] |= 1 << (column % 8));
        columns.iter().for_each(|(_, field)| patch.extend_from_slice(field));
        let (key, patch) = (self.span(key), self.span(&patch));
        self.updates.push(Update { key, patch });
    }
}

fn int(n: i32) -> Vec<u8> {
    [4_i32.to_be_bytes(), n.to_be_bytes()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&i32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

async fn apply(client: &Client, plan: &TablePlan, changes: &TableChanges, arena: &Arena) -> Result<Vec<u64>, String> {
    let mut patches = Patches::default();
    patches.prepare(client, plan, changes, arena).await.map_err(|e| e.report())?;
    let mut touched = Vec::new();
    for rewrite in patches.rewrites(plan, changes, arena) {
        let parameters: Vec<_> =
            rewrite.parameters.iter().map(|p| p as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        touched.push(client.execute(&rewrite.statement, &parameters).await.map_err(|e| format!("{e:?}"))?);
    }
    Ok(touched)
}

async fn rows(client: &Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn values_of_every_type_arrive_as_they_were_sent_in_place_and_replaced() {
    let database = testing::database().await;
    let client = database.connect().await;
    let mut plan = example::every_type();
    plan.key = vec![1];
    client.batch_execute(&crate::target::tables::create_table_sql(&plan)).await.unwrap();
    let target = plan.target.sql();
    let wanted = format!(
        "INSERT INTO {target} VALUES (-5, 1, 9223372036854775807, -1.50, 0.1, -1e300, true, repeat('10', 32)::bit(64), 'é ', \
         E'a\"b\\\\c', '\\x00ff', '2024-02-29', '2024-02-29 23:59:59', '2024-02-29 23:59:59.000001', '2030-01-01 00:00:00.123+00', \
         '-838:59:59', '23:59:59', '{{\"a\": 1}}', '{{\"b\": [1, null]}}', ARRAY['x,y', 'a\"\\b', '', 'NULL'], \
         ARRAY[0.1, 3.4e38, 1e-45, -0.0]::real[], 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '::1', '1')"
    );
    client.batch_execute(&wanted).await.unwrap();
    let all: Vec<usize> = (0..plan.columns.len()).collect();
    let mut tuples = Tuples::open(&client, &plan, &all).await.unwrap();
    let first = tuples.next().await.unwrap().unwrap();
    let sent: Vec<Vec<u8>> = super::Fields::of_key(first).map(<[u8]>::to_vec).collect();
    while tuples.next().await.unwrap().is_some() {}
    drop(tuples);
    for replace in [false, true] {
        client
            .batch_execute(&format!("DELETE FROM {target}; INSERT INTO {target} (c0, c1, c2) VALUES (0, 1, 0)"))
            .await
            .unwrap();
        let mut made = Made::default();
        let columns: Vec<(usize, Vec<u8>)> = sent.iter().cloned().enumerate().filter(|(at, _)| *at != 1).collect();
        made.update(&plan, &int(1), &columns);
        let updates = std::mem::take(&mut made.updates);
        let mut changes = TableChanges::default();
        if replace {
            changes.replacements = updates
        } else {
            changes.updates = updates
        }
        assert_eq!(apply(&client, &plan, &changes, &Arena::of(&made.bytes)).await.unwrap(), [1]);
        let mut tuples = Tuples::open(&client, &plan, &all).await.unwrap();
        assert_eq!(tuples.next().await.unwrap().unwrap(), sent.concat(), "replace: {replace}");
        while tuples.next().await.unwrap().is_some() {}
    }
}

/// `(id integer primary key, u integer unique, note varchar(5), big text)`.
fn plan() -> TablePlan {
    let column = |source, name: &str, ty, unique: bool| {
        let policies = Policies::defaults(!unique, unique);
        PlannedColumn {
            source,
            name: name.into(),
            ty,
            nullable: !unique,
            unique,
            policies,
            treatment: crate::convert::plan::Treatment::Plain,
        }
    };
    let columns = vec![
        column(0, "id", PgType::Integer, true),
        column(1, "The \"u\"", PgType::Integer, true),
        column(2, "note", PgType::Varchar(5), false),
        column(3, "big", PgType::Text, false),
    ];
    TablePlan { columns, ..example::plan("patched") }
}

#[tokio::test]
async fn keys_and_unique_values_may_be_swapped_and_what_is_not_changed_stays() {
    let database = testing::database().await;
    let client = database.connect().await;
    let plan = plan();
    let setup = "CREATE TABLE public.patched (id integer PRIMARY KEY, \"The \"\"u\"\"\" integer NOT NULL UNIQUE, note varchar(5), big text);
        INSERT INTO public.patched SELECT n, n, 'n' || n, repeat('x' || n, 3000000) FROM generate_series(1, 5) AS n";
    client.batch_execute(setup).await.unwrap();
    let mut made = Made::default();
    made.update(&plan, &int(1), &[(1, int(2))]);
    made.update(&plan, &int(2), &[(1, int(1)), (2, field(None))]);
    made.update(&plan, &int(3), &[(0, int(4))]);
    made.update(&plan, &int(4), &[(0, int(3)), (2, text("four"))]);
    made.update(&plan, &int(9), &[(1, int(9))]);
    let replacements = std::mem::take(&mut made.updates);
    made.update(&plan, &int(5), &[(2, text("five"))]);
    made.update(&plan, &int(8), &[(2, text("none"))]);
    let changes = TableChanges { replacements, updates: made.updates, ..TableChanges::default() };
    // a row that is not there is not counted and not made
    assert_eq!(apply(&client, &plan, &changes, &Arena::of(&made.bytes)).await.unwrap(), [4, 1]);
    let found = rows(
        &client,
        "SELECT id || ' ' || \"The \"\"u\"\"\" || ' ' || coalesce(note, '-') || ' ' || left(big, 2) || length(big) FROM public.patched ORDER BY 1",
    );
    assert_eq!(
        found.await,
        ["1 2 n1 x16000000", "2 1 - x26000000", "3 4 four x46000000", "4 3 n3 x36000000", "5 5 five x56000000"]
    );
}

#[tokio::test]
async fn a_value_too_long_for_its_column_is_refused_and_not_cut() {
    let database = testing::database().await;
    let client = database.connect().await;
    let plan = plan();
    client.batch_execute(&crate::target::tables::create_table_sql(&plan)).await.unwrap();
    client.batch_execute("INSERT INTO public.patched VALUES (1, 1, 'n', 'b')").await.unwrap();
    for replace in [false, true] {
        let mut made = Made::default();
        made.update(&plan, &int(1), &[(2, text("too long"))]);
        let mut changes = TableChanges::default();
        if replace {
            changes.replacements = made.updates
        } else {
            changes.updates = made.updates
        }
        let refused = apply(&client, &plan, &changes, &Arena::of(&made.bytes)).await.unwrap_err();
        assert!(refused.contains("22001"), "{refused}");
    }
}

#[tokio::test]
async fn many_updates_go_in_pieces_by_their_columns() {
    let database = testing::database().await;
    let client = database.connect().await;
    let plan = plan();
    client.batch_execute(&crate::target::tables::create_table_sql(&plan)).await.unwrap();
    client
        .batch_execute("INSERT INTO public.patched SELECT n, n, 'n', 'b' FROM generate_series(1, 25000) AS n")
        .await
        .unwrap();
    let mut made = Made::default();
    (1..=25_000).for_each(|n| made.update(&plan, &int(n), &[(2, text("new"))]));
    made.update(&plan, &int(1), &[(3, text("other"))]);
    let changes = TableChanges { updates: made.updates, ..TableChanges::default() };
    let touched = apply(&client, &plan, &changes, &Arena::of(&made.bytes)).await.unwrap();
    assert_eq!(touched, [10_000, 10_000, 5_000, 1]);
    let found = "SELECT count(*) || ' ' || count(*) FILTER (WHERE note = 'new') || ' ' || count(*) FILTER (WHERE big = 'other') FROM public.patched";
    assert_eq!(rows(&client, found).await, ["25000 25000 1"]);
}
