//! All integration tests, one binary. Real servers, started and removed by each test.
#![allow(clippy::unwrap_used, missing_docs)]

mod architecture;
mod cases;
mod ddl;
mod filters;
mod fuzz;
mod history;
mod kills;
mod outages;
mod packed;
mod quarantine;
mod row_images;
mod sanitize;
mod schema;
mod seam;
mod standby;
mod status;
mod stops;
mod stops_stream;
mod stream;
mod support;
mod types;
mod values;
mod verify;
mod warnings;
mod workload;
