//! The operator's jobs, one file each: what the commands do besides running the pipeline.

pub mod check;
pub mod cutover;
pub mod plan;
pub mod quarantine;
pub mod reset;
pub mod sanitized;
pub mod schema;
pub mod status;
pub mod stream;
pub mod tables;
