//! A project's whole migration history while it is followed: with restarts around each step, and all at once from behind.

use crate::support::{Setup, World, full, seed, shape, tail};
use mysql_async::prelude::Queryable;
use sirenia::embedded::SourceKind;
use std::time::Duration;

/// As a Laravel project gathers it over the years.
const HISTORY: &str = include_str!("history/laravel.sql");

/// Written around each step; what does not fit the schema of the moment fails and counts for nothing.
const WRITES: [&str; 13] = [
    "INSERT INTO users (name, email) VALUES ('Siti', 's?@x')",
    "INSERT INTO users (nama_lengkap, email) VALUES ('Budi', 'b?@x')",
    "INSERT INTO pasien (no_rm, nama) VALUES ('RM?', 'Ayu é')",
    "UPDATE pasien SET nama = CONCAT('Bu ', LEFT(nama, 40)) WHERE id % 3 = ? % 3",
    "INSERT INTO hasil (pasien_id, nilai) SELECT MIN(id), ? / 4 FROM pasien",
    "INSERT INTO hasil_lab (pasien_id, nilai) SELECT MAX(id), ? / 8 FROM pasien",
    "INSERT INTO hasil_lab (pasien_id) SELECT MIN(id) FROM pasien",
    "UPDATE hasil_lab SET status = 'final' WHERE id % 2 = ? % 2",
    "DELETE FROM hasil_lab WHERE id % 17 = ? % 17",
    "INSERT INTO log_akses (email) VALUES ('l?@x')",
    "INSERT INTO log_masuk (kode, isi) VALUES ('k?', '{\"n\": ?}')",
    "INSERT INTO ringkasan (email) VALUES ('r?@x')",
    "DELETE FROM pasien WHERE id = ? * 2",
];

fn steps() -> Vec<&'static str> {
    HISTORY.split(";\n").map(str::trim).filter(|step| !step.is_empty()).collect()
}

/// Writes, and returns how many statements had an effect.
async fn write(conn: &mut mysql_async::Conn, at: &mut u32) -> u32 {
    let mut done = 0;
    for sql in WRITES {
        *at += 1;
        done += u32::from(conn.query_drop(sql.replace('?', &at.to_string())).await.is_ok());
    }
    done
}

async fn assert_equal(world: &World, when: &str) {
    let mut found = world.differences().await;
    found.extend(shape::differences(world, &[]).await);
    assert!(found.is_empty(), "{when}:\n{}\nthe log ends:\n{}", found.join("\n"), tail(&world.log()));
}

async fn begun(kind: SourceKind) -> World {
    let mut world = World::new(Setup::new(kind)).await;
    world.config = "[lease]\nttl = 2\n".into();
    world.run(&["CREATE TABLE migrations (id INT PRIMARY KEY)", "INSERT INTO migrations VALUES (1)"]).await;
    world
}

/// Killed before each step, while it is carried over, and behind it.
async fn restarts(kind: SourceKind) {
    let world = begun(kind).await;
    let mut replicator = world.replicate(&[]);
    world.caught_up().await;
    let (mut conn, mut at, seed) = (world.source().await, 0, seed());
    println!("SIRENIA_TEST_SEED={seed}");
    for (number, step) in steps().into_iter().enumerate() {
        // the sample takes every third step, another third each time
        let watched = full() || (number as u64 + seed).is_multiple_of(3);
        write(&mut conn, &mut at).await;
        if watched {
            replicator.kill();
            replicator = world.replicate(&[]);
        }
        conn.query_drop(step).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        let wrote = write(&mut conn, &mut at).await;
        assert!(wrote > 0 || number == 0, "nothing could be written behind {step}");
        if watched {
            tokio::time::sleep(Duration::from_millis((seed.wrapping_mul(7) + 31 * number as u64) % 400)).await;
            replicator.kill();
            replicator = world.replicate(&[]);
            world.followed_by(&mut replicator).await.unwrap_or_else(|e| panic!("{step}: {e}\n{}", tail(&world.log())));
            assert_equal(&world, step).await;
        }
    }
    world.followed_by(&mut replicator).await.unwrap_or_else(|e| panic!("{e}\n{}", tail(&world.log())));
    assert_equal(&world, "at the end").await;
    assert_eq!(replicator.terminate().await.0, 0);
}

/// Nobody follows while the whole history happens: the schema of each step is told by the statements alone.
async fn from_behind(kind: SourceKind) {
    let world = begun(kind).await;
    assert_eq!(world.run_to_end(&["--once"]).await.code, 0);
    let (mut conn, mut at) = (world.source().await, 0);
    for step in steps() {
        write(&mut conn, &mut at).await;
        conn.query_drop(step).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        write(&mut conn, &mut at).await;
    }
    let outcome = world.run_to_end(&["--once"]).await;
    assert_eq!(outcome.code, 0, "{}", tail(&outcome.stderr));
    assert_equal(&world, "from behind").await;
}

crate::support::on_both! {
    restarts
    from_behind
}
