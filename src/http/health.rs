//! `/healthz` and `/readyz`, for whoever restarts or routes.

use crate::status::Shared;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;

/// 200 while the process can answer at all.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// 200 while the target is a live copy, 503 with the reason otherwise.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    match shared.view().not_ready() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}
