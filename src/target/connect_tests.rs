//! What a session is like, and what each refusal tells.

use super::*;
use crate::target::testing;
use secrecy::SecretString;
use std::time::Instant;

async fn refusal(config: &TargetConfig) -> Error {
    let error = connect(config, "test").await.unwrap_err();
    let shown = format!("{} {error:?}", error.report());
    assert!(!shown.contains(testing::PASSWORD) && !shown.contains("geheim"), "{shown}");
    error
}

#[tokio::test]
async fn a_session_is_set_up() {
    let database = testing::database().await;
    let admin = database.connect().await;
    let name = &database.config.database;
    admin
        .batch_execute(&format!(
            "ALTER DATABASE {name} SET TimeZone = 'Asia/Jakarta'; ALTER DATABASE {name} SET search_path = public;
             ALTER DATABASE {name} SET statement_timeout = '7s'; ALTER DATABASE {name} SET idle_session_timeout = '7s';
             ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'"
        ))
        .await
        .unwrap();
    let config = TargetConfig { host: database.server.folder().display().to_string(), ..database.config.clone() };
    for config in [&database.config, &config] {
        let client = connect(config, "sirenia/p/1").await.unwrap();
        for (setting, value) in [
            ("TimeZone", "UTC"),
            ("search_path", "\"\""),
            ("statement_timeout", "0"),
            ("idle_session_timeout", "0"),
            ("transaction_isolation", "read committed"),
            ("client_encoding", "UTF8"),
            ("application_name", "sirenia/p/1"),
        ] {
            let row = client.query_one("SELECT current_setting($1)", &[&setting]).await.unwrap();
            assert_eq!(row.get::<_, &str>(0), value, "{setting}");
        }
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let database = testing::database().await;
    let good = &database.config;
    let wrong = SecretString::from("geheim");
    let error = refusal(&TargetConfig { password: wrong, ..good.clone() }).await;
    assert_eq!((error.kind(), error.hint()), (ErrorKind::AccessDenied, Some(PASSWORD_HINT)));
    let error = refusal(&TargetConfig { password: SecretString::from(""), ..good.clone() }).await;
    assert_eq!((error.kind(), error.hint()), (ErrorKind::AccessDenied, Some(PASSWORD_HINT)));
    let error = refusal(&TargetConfig { database: "My Lab".into(), ..good.clone() }).await;
    assert_eq!((error.kind(), error.hint()), (ErrorKind::Config, Some("CREATE DATABASE \"My Lab\";")));
    let error = refusal(&TargetConfig { port: 1, ..good.clone() }).await;
    assert_eq!(error.kind(), ErrorKind::TargetUnavailable);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    let error = refusal(&TargetConfig { host: "no-such-host.invalid".into(), ..good.clone() }).await;
    assert_eq!(error.kind(), ErrorKind::UnknownHost);
    let error = refusal(&TargetConfig { host: "/nowhere".into(), ..good.clone() }).await;
    assert_eq!(error.kind(), ErrorKind::TargetUnavailable);

    let admin = database.connect().await;
    let name = &good.database;
    admin
        .batch_execute(&format!(
            "CREATE ROLE out_{name} LOGIN PASSWORD 'geheim'; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC"
        ))
        .await
        .unwrap();
    let config = TargetConfig { user: format!("out_{name}"), password: SecretString::from("geheim"), ..good.clone() };
    let error = refusal(&config).await;
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert_eq!(error.hint().unwrap(), format!("GRANT CONNECT, CREATE ON DATABASE \"{name}\" TO \"out_{name}\";"));
}

#[tokio::test]
async fn tls_is_verified_as_asked() {
    let database = testing::database().await;
    let certificate = database.server.folder().join("server.crt");
    if !certificate.exists() {
        eprintln!("no openssl here: nothing was tested");
        return;
    }
    let config = |host: &str, tls, ca_file: bool| TargetConfig {
        host: host.into(),
        tls,
        ca_file: ca_file.then(|| certificate.clone()),
        ..database.config.clone()
    };
    for (host, tls, ca_file, encrypted) in [
        ("127.0.0.1", Tls::Off, false, false),
        ("127.0.0.1", Tls::Prefer, false, true),
        ("127.0.0.1", Tls::Require, false, true),
        ("127.0.0.1", Tls::Require, true, true),
        ("localhost", Tls::VerifyFull, true, true),
    ] {
        let client = connect(&config(host, tls, ca_file), "test").await.unwrap();
        let row = client.query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[]).await.unwrap();
        assert_eq!(row.get::<_, bool>(0), encrypted, "{host} {tls:?}");
    }
    // the certificate names localhost only; without a CA file Mozilla's roots do not know it
    for (host, ca_file) in [("127.0.0.1", true), ("localhost", false)] {
        let error = refusal(&config(host, Tls::VerifyFull, ca_file)).await;
        assert_eq!(error.kind(), ErrorKind::Config, "{}", error.report());
        assert!(error.hint().unwrap().contains("sslrootcert"), "{}", error.report());
    }
    let socket = database.server.folder().display().to_string();
    assert_eq!(refusal(&config(&socket, Tls::Require, false)).await.kind(), ErrorKind::Config);
    let missing = TargetConfig { ca_file: Some("/nowhere.pem".into()), ..config("localhost", Tls::VerifyFull, true) };
    assert_eq!(refusal(&missing).await.kind(), ErrorKind::Config);
}

#[tokio::test]
async fn statements_can_be_cancelled_and_a_drop_ends_the_session() {
    let database = testing::database().await;
    let client = database.connect().await;
    let canceller = client.canceller();
    let began = Instant::now();
    let (slept, cancelled) = tokio::join!(client.batch_execute("SELECT pg_sleep(30)"), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        canceller.cancel().await
    });
    cancelled.unwrap();
    assert_eq!(classify(slept.unwrap_err(), "sleeping").kind(), ErrorKind::TargetUnavailable);
    assert!(began.elapsed() < Duration::from_secs(10));

    client.set_application_name("it's \"mine\"").await.unwrap();
    let other = database.connect().await;
    let sessions = "SELECT FROM pg_stat_activity WHERE application_name = 'it''s \"mine\"'";
    assert_eq!(other.query(sessions, &[]).await.unwrap().len(), 1);
    drop(client);
    while !other.query(sessions, &[]).await.unwrap().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
