//! All integration tests, one binary. Real servers, started and removed by each test.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;
mod verify;
mod workload;
