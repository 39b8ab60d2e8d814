//! `/`, a page for a glance: no script, nothing loaded from elsewhere, readable on a phone.
//!
//! Made anew on the server every two seconds. Table names and errors come from the databases, so all text is escaped.

use crate::status::{Phase, Shared, SnapshotView, StatusView, TableView, unix_time};
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse};
use std::fmt::Write;
use std::sync::Arc;

/// Tables shown at most; those with an error and those being copied come first.
const TABLES: usize = 500;

const HEADERS: [(HeaderName, &str); 3] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// The page.
pub(super) async fn page(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    (HEADERS, Html(render(&shared.view(), unix_time())))
}

fn render(view: &StatusView, now: u64) -> String {
    let color = match view.phase {
        Phase::Streaming => "good",
        Phase::Failed | Phase::Retrying => "bad",
        _ => "busy",
    };
    let ago = |then: u64| duration(now.saturating_sub(then));
    let mut facts = vec![
        ("lag", view.lag_seconds.map_or("unknown".into(), |seconds| format!("{seconds:.1} s"))),
        ("binlog behind", view.lag_bytes.map_or("unknown".into(), bytes)),
        ("transactions", grouped(view.transactions)),
        ("changes", grouped(view.changes)),
        ("rows sent", grouped(view.rows)),
        ("checkpoint", view.position.clone().unwrap_or_else(|| "none yet".into())),
        ("lease", format!("{} by {}", if view.lease_held { "held" } else { "not held" }, view.holder)),
        ("running for", ago(view.started_at)),
        ("updated", format!("{} ago", ago(view.updated_at))),
    ];
    let SnapshotView { tables_total, tables_done, rows_copied, rows_estimated } = view.snapshot;
    if tables_total > 0 {
        let rows = format!("{} of about {} rows", grouped(rows_copied), grouped(rows_estimated.max(rows_copied)));
        facts.insert(0, ("snapshot", format!("{tables_done} of {tables_total} tables, {rows}")));
    }
    let mut out = String::from(HEAD);
    let _ =
        write!(out, "<h1>Sirenia <small>{}</small></h1><p class={color}>{}</p>", escape(&view.pipeline), view.phase);
    if let Some(error) = &view.last_error {
        let _ = write!(out, "<pre>{}</pre>", escape(error));
    }
    if tables_total > 0 && tables_done < tables_total {
        let _ = write!(out, "<progress max={} value={rows_copied}></progress>", rows_estimated.max(rows_copied).max(1));
    }
    out.push_str("<dl>");
    for (name, value) in facts {
        let _ = write!(out, "<dt>{name}<dd>{}", escape(&value));
    }
    out.push_str("</dl>");
    tables(&view.tables, &mut out);
    out.push_str("<p><a href=/status>status</a> <a href=/metrics>metrics</a> <a href=/readyz>ready?</a>");
    out
}

fn tables(tables: &[TableView], out: &mut String) {
    if tables.is_empty() {
        return;
    }
    let mut sorted: Vec<_> = tables.iter().collect();
    sorted.sort_by_key(|table| (table.error.is_none(), table.state != "copying"));
    out.push_str("<table><tr><th>table<th>target<th>state<th>rows copied");
    for table in sorted.iter().take(TABLES) {
        let state = match &table.error {
            Some(error) => format!("<b>{}</b> {}", escape(&table.state), escape(error)),
            None => escape(&table.state),
        };
        let (source, target) = (escape(&table.source), escape(&table.target));
        let _ = write!(out, "<tr><td>{source}<td>{target}<td>{state}<td>{}", grouped(table.rows_copied));
    }
    out.push_str("</table>");
    if tables.len() > TABLES {
        let _ = write!(out, "<p>and {} more", tables.len() - TABLES);
    }
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>\
<meta name=viewport content='width=device-width,initial-scale=1'><title>Sirenia</title><style>\
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:1rem auto;padding:0 1rem}\
small{font-weight:400;opacity:.7}.good,.bad,.busy{display:inline-block;padding:.2rem .8rem;border-radius:1rem;\
color:#fff;background:#8a6100}.good{background:#146c2e}.bad{background:#a3170f}progress{width:100%}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}dt{opacity:.7}dd{margin:0;overflow-wrap:anywhere}\
pre{white-space:pre-wrap;border-left:4px solid #a3170f;padding-left:.8rem}table{border-collapse:collapse;width:100%;\
display:block;overflow-x:auto}td,th{text-align:left;padding:.1rem .8rem .1rem 0}td:last-child,th:last-child\
{text-align:right}</style>";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// Digits in groups of three: `2,847,563`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} kB", count as f64 / 1024.0),
        _ => format!("{:.1} MB", count as f64 / 1_048_576.0),
    }
}

fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_databases_is_escaped() {
        let table = TableView { source: "lab.<script>".into(), state: "paused".into(), ..TableView::default() };
        let view = StatusView {
            last_error: Some("a & \"b\"".into()),
            position: Some("b.000001:4 <x>".into()),
            tables: vec![table],
            ..StatusView::default()
        };
        let html = render(&view, 0);
        assert!(!html.contains("<script>") && html.contains("lab.&lt;script&gt;"));
        assert!(html.contains("a &amp; &quot;b&quot;") && html.contains("4 &lt;x&gt;"));
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            ["0", "999", "1,000", "2,847,563"],
            [0, 999, 1000, 2_847_563].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!(["59 s", "1 min 0 s", "2 d 1 h"], [59, 60, 176_400].map(duration).each_ref().map(String::as_str));
        assert_eq!(bytes(1536), "1.5 kB");
    }
}
