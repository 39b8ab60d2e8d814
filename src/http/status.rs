//! `/status`, the view as JSON: what `sirenia status` asks for.

use crate::status::Shared;
use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use std::sync::Arc;

/// The [`crate::status::StatusView`] of now.
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], Json(shared.view()))
}
