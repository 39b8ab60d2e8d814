//! Settings: from what was typed to what is known.
//!
//! Four places, the stronger last: the PHP tool's variables ([`legacy_env`]), `sirenia.toml` ([`raw`]), `SIRENIA_*`
//! variables ([`environment`]), flags. Each fills the same [`Raw`]; they are laid over each other once, and what is
//! left is checked and defaulted into a [`Config`]. `SIRENIA_SOURCE_URL` and `SIRENIA_TARGET_URL` alone are enough.
//!
//! Enters: [`Inputs`]. Leaves: [`Config`], or an error that names the key and the place. Invariant: no error and no
//! `Debug` output holds a password, nor any text that may contain one.

mod choice;
mod endpoint;
mod environment;
mod legacy_env;
pub mod raw;
mod resolved;
mod secret_url;
#[cfg(test)]
mod tests;
mod units;

pub use endpoint::{Endpoint, Tls};
pub use raw::Raw;
pub use resolved::{
    ApplySettings, BigintUnsigned, Bit1Type, Capture, Config, DdlSettings, EnumType, JsonType, LeaseSettings,
    LogFormat, LogSettings, OnDrop, OnUnknown, SchemaChoices, SetType, SnapshotSettings, SourceSettings, TimeType,
    TinyInt1, TypeChoices,
};
pub use units::ByteSize;

use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The file that is read when none is named and it exists.
pub const DEFAULT_FILE: &str = "sirenia.toml";

/// All that settings are made from.
#[derive(Default)]
pub struct Inputs {
    /// The file named by `--config`; without it the one of `SIRENIA_CONFIG`, else [`DEFAULT_FILE`], if it exists.
    pub file: Option<PathBuf>,
    /// A `.env` file named by `--env-file`, else by `SIRENIA_ENV_FILE`; its variables are weaker than the process's.
    pub env_file: Option<PathBuf>,
    /// The process's variables.
    pub variables: BTreeMap<String, String>,
    /// What flags say.
    pub flags: Raw,
}

impl Inputs {
    /// The inputs of this process: its environment, beside the given flags.
    #[must_use]
    pub fn of_process(flags: Raw) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { flags, variables: std::env::vars_os().filter_map(text).collect(), ..Self::default() }
    }

    /// The checked settings.
    pub fn resolve(self) -> Result<Config> {
        let (raw, warnings) = self.merged()?;
        Config::resolve(raw, warnings)
    }

    /// The checked settings of the source's side, for commands that need no target.
    pub fn resolve_source(self) -> Result<SourceSettings> {
        let (raw, warnings) = self.merged()?;
        SourceSettings::resolve(raw, warnings)
    }

    /// What goes to stderr, for commands that need nothing else.
    pub fn log(self) -> Result<LogSettings> {
        Ok(resolved::log(self.merged()?.0.log))
    }

    /// Where HTTP listens, for commands that need no servers.
    pub fn listen(self) -> Result<Option<SocketAddr>> {
        resolved::listen(self.merged()?.0.http.listen.as_deref())
    }

    fn merged(mut self) -> Result<(Raw, Vec<String>)> {
        let named = |name| self.variables.get(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        self.file = self.file.take().or_else(|| named("SIRENIA_CONFIG"));
        self.env_file = self.env_file.take().or_else(|| named("SIRENIA_ENV_FILE"));
        if let Some(path) = &self.env_file {
            for (name, value) in legacy_env::read_file(path)? {
                self.variables.entry(name).or_insert(value);
            }
        }
        let mut raw = self.read_file()?;
        let (environment, warnings) = environment::read(&self.variables)?;
        environment.check("the environment")?;
        self.flags.check("the flags")?;
        raw.overlay(environment);
        raw.overlay(self.flags);
        let mut merged = legacy_env::read(&self.variables, &raw)?;
        merged.overlay(raw);
        Ok((merged, warnings))
    }

    fn read_file(&self) -> Result<Raw> {
        let path = self.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if self.file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Raw::default());
            }
            Err(error) => {
                return Err(
                    Error::new(ErrorKind::Config, format!("{} cannot be read", path.display())).with_source(error)
                );
            }
        };
        let raw = Raw::parse(&text, path)?;
        raw.check(&path.display().to_string())?;
        Ok(raw)
    }
}
