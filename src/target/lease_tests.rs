//! Takeovers with everything in the way that can be.

use super::*;
use crate::target::fence::{FENCE, fence, prepare_fence};
use crate::target::testing::{self, Database};
use tokio_postgres::Client;

const SHORT: Duration = Duration::from_millis(300);

async fn take(database: &Database, holder: &str) -> Lease {
    acquire(&database.config, "p", holder, SHORT, |_, _| {}).await.unwrap()
}

async fn session(database: &Database, epoch: i64) -> Connection {
    connect(&database.config, &application_name("p", epoch)).await.unwrap()
}

async fn in_fence(client: &Client, epoch: i64) {
    client.batch_execute("BEGIN").await.unwrap();
    client.execute(FENCE, &[&"p", &epoch]).await.unwrap();
}

#[test]
fn application_names_fit_and_stay_distinct() {
    assert_eq!(application_name("lab", 7), "sirenia/lab/7");
    let long = "x".repeat(80);
    let names = [application_name(&long, i64::MAX), application_name(&format!("{long}y"), i64::MAX)];
    assert!(names.iter().all(|name| name.len() <= 63 && name.ends_with(&i64::MAX.to_string())), "{names:?}");
    assert_ne!(names[0], names[1]);
    assert_ne!(application_name("a b", 1), application_name("a_b", 1));
    assert!(application_name("日本", 1).is_ascii());
}

#[tokio::test]
async fn a_standby_waits_and_a_release_lets_it_in_at_once() {
    let database = testing::prepared().await;
    let keeper = acquire(&database.config, "p", "one", DEFAULT_TTL, |_, _| {}).await.unwrap().keep();
    let (seen, mut waiting) = watch::channel(None);
    let config = database.config.clone();
    let standby = tokio::spawn(async move {
        acquire(&config, "p", "two", DEFAULT_TTL, |holder, left| {
            seen.send_replace(Some((holder.to_owned(), left)));
        })
        .await
    });
    let (holder, left) = waiting.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!(holder, "one");
    assert!(left <= DEFAULT_TTL && left > DEFAULT_TTL / 2, "{left:?}");
    let released_at = Instant::now();
    keeper.release().await.unwrap();
    let lease = standby.await.unwrap().unwrap();
    assert_eq!((lease.epoch, lease.holder.as_str()), (2, "two"));
    assert!(released_at.elapsed() < Duration::from_secs(4), "{:?}", released_at.elapsed());
}

#[tokio::test]
async fn a_takeover_ends_an_open_fenced_transaction_of_the_old_epoch() {
    let database = testing::prepared().await;
    let old = take(&database, "one").await;
    let stuck = session(&database, old.epoch).await;
    stuck.batch_execute("CREATE TABLE public.t (id int)").await.unwrap();
    in_fence(&stuck, old.epoch).await;
    stuck.batch_execute("INSERT INTO public.t VALUES (1)").await.unwrap();
    let new = take(&database, "two").await;
    assert_eq!(new.epoch, old.epoch + 1);
    let error = classify(stuck.batch_execute("COMMIT").await.unwrap_err(), "committing");
    assert_eq!(error.kind(), ErrorKind::TargetUnavailable, "{error}");
    let rows = database.connect().await.query("SELECT FROM public.t", &[]).await.unwrap();
    assert!(rows.is_empty());
}

#[tokio::test]
async fn a_takeover_waits_for_a_fenced_transaction_that_it_cannot_end() {
    let database = testing::prepared().await;
    let old = take(&database, "one").await;
    let unnamed = database.connect().await;
    in_fence(&unnamed, old.epoch).await;
    let config = database.config.clone();
    let standby = tokio::spawn(async move { acquire(&config, "p", "two", SHORT, |_, _| {}).await });
    sleep(Duration::from_millis(1500)).await;
    assert!(!standby.is_finished());
    unnamed.batch_execute("COMMIT").await.unwrap();
    assert_eq!(standby.await.unwrap().unwrap().epoch, old.epoch + 1);
}

#[tokio::test]
async fn of_several_standbys_one_takes_over() {
    let database = testing::prepared().await;
    let _old = take(&database, "zero").await;
    let mut standbys = tokio::task::JoinSet::new();
    for holder in ["one", "two", "three"] {
        let config = database.config.clone();
        standbys.spawn(async move { acquire(&config, "p", holder, DEFAULT_TTL, |_, _| {}).await });
    }
    let first = standbys.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(first.epoch, 2);
    assert!(timeout(Duration::from_secs(1), standbys.join_next()).await.is_err(), "only one holds it");
    first.release().await.unwrap();
    assert_eq!(standbys.join_next().await.unwrap().unwrap().unwrap().epoch, 3);
    standbys.abort_all();
}

#[tokio::test]
async fn a_stale_epoch_cannot_commit() {
    let database = testing::prepared().await;
    let mut old = take(&database, "one").await;
    let writer = database.connect().await;
    writer.batch_execute("CREATE TABLE public.t (id int)").await.unwrap();
    let statement = prepare_fence(&*writer).await.unwrap();
    let epoch = old.epoch;
    let _new = take(&database, "two").await;
    let (begun, fenced, written, committed) = tokio::join!(
        writer.batch_execute("BEGIN"),
        fence(&*writer, &statement, "p", epoch),
        writer.batch_execute("INSERT INTO public.t VALUES (1)"),
        writer.batch_execute("COMMIT"),
    );
    begun.unwrap();
    assert_eq!(fenced.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert!(written.is_err());
    committed.unwrap(); // a COMMIT that became a ROLLBACK says no more than that
    assert!(writer.query("SELECT FROM public.t", &[]).await.unwrap().is_empty());
    assert_eq!(old.renew().await.unwrap_err().kind(), ErrorKind::LeaseLost);
    assert_eq!(fence(&*writer, &statement, "other", 1).await.unwrap_err().kind(), ErrorKind::LeaseLost);
}

/// The old holder asks for the fence while the takeover has the row locked: it must see the new epoch.
#[tokio::test]
async fn a_fence_that_waits_for_a_takeover_sees_its_epoch() {
    let database = testing::prepared().await;
    let old = take(&database, "one").await;
    let (taker, writer) = (database.connect().await, database.connect().await);
    taker.batch_execute("BEGIN; SELECT 1 FROM sirenia.lease WHERE pipeline = 'p' FOR UPDATE").await.unwrap();
    taker.batch_execute("UPDATE sirenia.lease SET epoch = epoch + 1 WHERE pipeline = 'p'").await.unwrap();
    let statement = prepare_fence(&*writer).await.unwrap();
    let (fenced, ()) = tokio::join!(fence(&*writer, &statement, "p", old.epoch), async {
        sleep(Duration::from_millis(200)).await;
        taker.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(fenced.unwrap_err().kind(), ErrorKind::LeaseLost);
}

#[tokio::test]
async fn renewal_does_not_wait_for_writers() {
    let database = testing::prepared().await;
    let lease = take(&database, "one").await;
    let writer = session(&database, lease.epoch).await;
    in_fence(&writer, lease.epoch).await;
    let keeper = lease.keep();
    sleep(SHORT * 4).await;
    assert!(!keeper.is_lost());
    let standby = timeout(SHORT * 2, acquire(&database.config, "p", "two", SHORT, |_, _| {})).await;
    assert!(standby.is_err(), "it is still held");
    writer.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test]
async fn a_keeper_reconnects_and_notices_a_successor_at_once() {
    let database = testing::prepared().await;
    let keeper = acquire(&database.config, "p", "one", Duration::from_secs(3), |_, _| {}).await.unwrap().keep();
    let admin = database.connect().await;
    let name = application_name("p", keeper.epoch);
    let ended = admin
        .query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE application_name = $1 AND datname = current_database()",
            &[&name],
        )
        .await
        .unwrap();
    assert_eq!(ended.len(), 1);
    sleep(Duration::from_millis(3500)).await;
    assert!(!keeper.is_lost());
    admin.batch_execute("UPDATE sirenia.lease SET epoch = epoch + 1").await.unwrap();
    let error = timeout(Duration::from_secs(2), keeper.lost()).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
    keeper.release().await.unwrap();
}

#[tokio::test]
async fn without_a_connection_it_is_lost_only_after_its_time() {
    let database = testing::prepared().await;
    let mut lease = acquire(&database.config, "p", "one", Duration::from_secs(1), |_, _| {}).await.unwrap();
    lease.config.port = 1;
    lease.connection = None;
    let keeper = lease.keep();
    let kept_at = Instant::now();
    let error = timeout(Duration::from_secs(3), keeper.lost()).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::LeaseLost);
    assert!(kept_at.elapsed() > Duration::from_millis(850), "{:?}", kept_at.elapsed());
}
