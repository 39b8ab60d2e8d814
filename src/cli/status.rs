//! `sirenia status`: what the control tables say, or with `--http` what a running instance says of itself.

use crate::cli::args::StatusArgs;
use crate::cli::print;
use crate::config::Inputs;
use crate::error::{Error, ErrorKind, Result};
use crate::ops;
use crate::status::{StatusView, TableView, unix_time};
use std::fmt::Write;
use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Between two looks of `--watch`.
const WATCH: Duration = Duration::from_secs(2);

/// For one answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the command. With `--watch` it ends when it is interrupted or its output is closed.
pub async fn run(inputs: Inputs, args: &StatusArgs) -> Result<u8> {
    let config = if args.http.is_none() { Some(inputs.resolve()?) } else { None };
    loop {
        let view = match (&config, args.http) {
            (Some(config), _) => ops::status::read(config).await?,
            (None, addr) => fetch(addr.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9477)))).await?,
        };
        let text = if args.json { json(&view)? } else { render(&view, unix_time()) };
        let clear = args.watch && !args.json && std::io::stdout().is_terminal();
        // the codes put the cursor home and clear what was below it
        print(&if clear { format!("\x1b[H\x1b[J{text}") } else { text })?;
        if !args.watch {
            return Ok(0);
        }
        tokio::time::sleep(WATCH).await;
    }
}

/// Asks the instance that listens at `addr` for its status.
///
/// # Errors
/// `Io` when nobody answers there, or somebody else.
pub async fn fetch(addr: SocketAddr) -> Result<StatusView> {
    let addr = reachable(addr);
    let failed = |what: &str| {
        Error::new(ErrorKind::Io, format!("{what} at {addr}"))
            .with_hint("start `sirenia run`, or name the address it listens on with --http")
    };
    let answer = tokio::time::timeout(TIMEOUT, get(addr, "/status"))
        .await
        .map_err(|_| failed("no answer in time from what listens"))?
        .map_err(|error| failed("no running instance answers").with_source(error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if !head.starts_with("HTTP/1.0 200 ") && !head.starts_with("HTTP/1.1 200 ") {
        return Err(failed("something else than sirenia listens"));
    }
    serde_json::from_str(body)
        .map_err(|error| failed("something else than sirenia, or another version, listens").with_source(error))
}

/// One request of HTTP 1.0, whose answer ends with the connection: no need for an HTTP client.
async fn get(addr: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {addr}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(64 << 20).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Where to connect to reach what listens on `addr`: "every address" is reached on loopback.
fn reachable(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(if addr.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
    }
    addr
}

fn json(view: &StatusView) -> Result<String> {
    let text = serde_json::to_string(view)
        .map_err(|error| Error::new(ErrorKind::Bug, "the status cannot be written as JSON").with_source(error))?;
    Ok(text + "\n")
}

/// The view as text: facts, then the tables that are not simply ready.
#[must_use]
pub fn render(view: &StatusView, now: u64) -> String {
    let unknown = || "unknown".to_owned();
    let mut out = String::new();
    let mut fact = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<13}{value}");
    };
    fact("pipeline", view.pipeline.clone());
    fact("phase", view.phase.to_string());
    if let Some(error) = &view.last_error {
        fact("error", error.clone());
    }
    fact("checkpoint", view.position.clone().unwrap_or_else(|| "none yet".into()));
    fact("lag", view.lag_seconds.map_or_else(unknown, |seconds| format!("{seconds:.1} s")));
    fact("lag bytes", view.lag_bytes.map_or_else(unknown, |bytes| bytes.to_string()));
    if view.snapshot.tables_total > 0 {
        let copy = view.snapshot;
        let tables = format!("{} of {} tables", copy.tables_done, copy.tables_total);
        fact("snapshot", format!("{tables}, {} of about {} rows", copy.rows_copied, copy.rows_estimated));
    }
    fact("transactions", view.transactions.to_string());
    fact("changes", view.changes.to_string());
    fact("rows", view.rows.to_string());
    fact("lease", format!("{} by {}", if view.lease_held { "held" } else { "not held" }, view.holder));
    fact("running for", format!("{} s", now.saturating_sub(view.started_at)));
    fact("updated", format!("{} s ago", now.saturating_sub(view.updated_at)));
    let noteworthy: Vec<&TableView> =
        view.tables.iter().filter(|t| t.state != "ready" || t.error.is_some() || t.quarantined > 0).collect();
    if !noteworthy.is_empty() {
        let _ = writeln!(out, "\n{} of {} tables are not ready or not whole:", noteworthy.len(), view.tables.len());
    }
    for TableView { source, target, state, rows_copied, quarantined, error } in noteworthy {
        let quarantined = if *quarantined > 0 { format!(", {quarantined} in quarantine") } else { String::new() };
        let error = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let _ = writeln!(out, "  {source} -> {target}  {state}, {rows_copied} rows{quarantined}{error}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Phase, Shared};

    #[tokio::test]
    async fn it_shows_what_the_instance_says() {
        let shared = Shared::new("lab", "host:1");
        shared.update(|view| {
            view.phase = Phase::Streaming;
            view.position = Some("b.000001:4".into());
            view.tables = vec![TableView { source: "lab.é".into(), state: "paused".into(), ..TableView::default() }];
        });
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let (addr, _task) = crate::http::serve(any, shared, std::future::pending()).await.unwrap();
        let view = fetch(addr).await.unwrap();
        let text = render(&view, view.updated_at + 3);
        assert!(text.contains("phase        streaming\n") && text.contains("updated      3 s ago\n"), "{text}");
        assert!(text.contains("1 of 1 tables are not ready or not whole:\n  lab.é"), "{text}");
        assert!(json(&view).unwrap().starts_with("{\"pipeline\":\"lab\",\"phase\":\"streaming\""));
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_a_hint() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let error = fetch(addr).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.hint().is_some_and(|hint| hint.contains("sirenia run")));
    }
}
