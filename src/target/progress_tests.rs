//! A table's way through its states.

use super::*;
use crate::target::testing::{self, example};

#[tokio::test]
async fn chunks_add_up_and_states_change() {
    let database = testing::prepared().await;
    let client = database.connect().await;
    let client = &*client;
    let name = TableName::new("Lab", "Hasil \"x\"");
    let target = TargetName::new("public", "Hasil \"x\"");
    let new = NewTable { source: name.clone(), target, adopted: false, copy_group: Some(2), shape: "s".into() };
    register(client, "p", std::slice::from_ref(&new)).await.unwrap();
    for pipeline in ["p", "q"] {
        let error = register(client, pipeline, std::slice::from_ref(&new)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TargetConflict);
    }
    plan_ranges(client, "p", &name, &[Some(vec![5]), None]).await.unwrap();
    set_state(client, "p", &name, TableState::Copying).await.unwrap();
    set_exact(client, "p", &name, &example::position(7)).await.unwrap();
    save_chunk(client, "p", &name, 0, Some(&[1]), 100, false).await.unwrap();
    save_chunk(client, "p", &name, 0, Some(&[5]), 50, true).await.unwrap();
    save_chunk(client, "p", &name, 1, None, 0, true).await.unwrap();
    let ranges = load_ranges(client, "p", &name).await.unwrap();
    assert_eq!((ranges[0].last_key.as_deref(), ranges[0].rows_copied, ranges[0].done), (Some(&[5][..]), 150, true));
    assert_eq!((ranges[0].until_key.as_deref(), ranges[1].last_key.as_deref()), (Some(&[5][..]), None));
    let table = &load_tables(client, "p").await.unwrap()[0];
    assert_eq!((table.state, table.rows_copied, table.copy_group), (TableState::Copying, 150, Some(2)));
    assert_eq!(table.exact_position, Some(example::position(7)));

    leave_out(client, "p", &name, TableState::Paused, "too many rows are refused").await.unwrap();
    let table = &load_tables(client, "p").await.unwrap()[0];
    assert_eq!((table.state, &table.exact_position), (TableState::Paused, &None));
    assert_eq!(table.error.as_deref(), Some("too many rows are refused"));
    assert!(load_ranges(client, "p", &name).await.unwrap().is_empty());
    set_state(client, "p", &name, TableState::Copied).await.unwrap();
    set_state(client, "p", &name, TableState::Ready).await.unwrap();
    let table = &load_tables(client, "p").await.unwrap()[0];
    assert_eq!((table.state, table.error.as_deref()), (TableState::Ready, None));
    unregister(client, "p", &name).await.unwrap();
    assert!(load_tables(client, "p").await.unwrap().is_empty());
}
