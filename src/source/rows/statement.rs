//! Prepared statements: asking for one, its parameters' bytes, and what the server says of the columns.
//!
//! Format: MySQL's documentation of the client protocol, "Prepared Statements"; MariaDB's is the same without its extended
//! metadata, which is not asked for.

use crate::source::client::{Client, disorder, is_end, is_refusal, prefixed, put_prefixed};

/// Types of the protocol (`include/field_types.h`).
pub(super) mod wire {
    pub const DECIMAL: u8 = 0;
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const NEWDATE: u8 = 14;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const VECTOR: u8 = 242;
    pub const JSON: u8 = 245;
    pub const NEWDECIMAL: u8 = 246;
    pub const TINY_BLOB: u8 = 249;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

/// A statement's parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// BIGINT.
    Int(i64),
    /// BIGINT UNSIGNED.
    UInt(u64),
    /// DOUBLE.
    Double(f64),
    /// Text in the connection's character set, utf8mb4.
    Text(String),
}

/// A statement that the server knows by its number.
pub(super) struct Prepared {
    id: u32,
}

impl Prepared {
    /// Prepares a statement. What its columns are is said again by each execution, and left for that.
    pub async fn prepare(client: &mut Client, sql: &str) -> mysql_async::Result<Self> {
        const COM_STMT_PREPARE: u8 = 0x16;
        client.ask(&[&[COM_STMT_PREPARE], sql.as_bytes()].concat()).await?;
        let answer = client.read().await?;
        if is_refusal(&answer) {
            return Err(client.refused(&answer));
        }
        let Some(&[0, a, b, c, d, columns, more_columns, parameters, more_parameters]) = answer.first_chunk() else {
            return Err(disorder("the server's answer to a statement cannot be read").into());
        };
        for list in [[parameters, more_parameters], [columns, more_columns]] {
            while list != [0, 0] && !is_end(&client.read().await?) {}
        }
        client.answered();
        Ok(Self { id: u32::from_le_bytes([a, b, c, d]) })
    }

    /// The question for its rows.
    pub fn execution(&self, parameters: &[Parameter]) -> Vec<u8> {
        const COM_STMT_EXECUTE: u8 = 0x17;
        const UNSIGNED: u8 = 0x80;
        let mut out = vec![COM_STMT_EXECUTE];
        out.extend_from_slice(&self.id.to_le_bytes());
        out.push(0); // no cursor
        out.extend_from_slice(&1_u32.to_le_bytes()); // once
        if parameters.is_empty() {
            return out;
        }
        out.resize(out.len() + parameters.len().div_ceil(8), 0); // none of them is NULL
        out.push(1); // types follow
        for parameter in parameters {
            out.extend_from_slice(&match parameter {
                Parameter::Int(_) => [wire::LONGLONG, 0],
                Parameter::UInt(_) => [wire::LONGLONG, UNSIGNED],
                Parameter::Double(_) => [wire::DOUBLE, 0],
                Parameter::Text(_) => [wire::VAR_STRING, 0],
            });
        }
        for parameter in parameters {
            match parameter {
                Parameter::Int(number) => out.extend_from_slice(&number.to_le_bytes()),
                Parameter::UInt(number) => out.extend_from_slice(&number.to_le_bytes()),
                Parameter::Double(number) => out.extend_from_slice(&number.to_le_bytes()),
                Parameter::Text(text) => put_prefixed(&mut out, text.as_bytes()),
            }
        }
        out
    }

    /// Has the server forget it, which answers nothing.
    pub async fn close(self, client: &mut Client) -> mysql_async::Result<()> {
        const COM_STMT_CLOSE: u8 = 0x19;
        let id = self.id.to_le_bytes();
        client.ask(&[COM_STMT_CLOSE, id[0], id[1], id[2], id[3]]).await?;
        client.answered();
        Ok(())
    }
}

/// What the server says of a column of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// One of [`wire`].
    pub(super) ty: u8,
    pub(super) unsigned: bool,
}

impl Definition {
    /// Reads the packet (`ColumnDefinition41`).
    pub(super) fn parse(mut packet: &[u8]) -> Option<Self> {
        const UNSIGNED: u16 = 1 << 5;
        for _name in ["catalogue", "database", "table", "its own name", "column", "its own name"] {
            prefixed(&mut packet)?;
        }
        let fixed: &[u8; 12] = prefixed(&mut packet)?.first_chunk()?; // character set, length, type, flags, decimals
        Some(Self { ty: fixed[6], unsigned: u16::from_le_bytes([fixed[7], fixed[8]]) & UNSIGNED != 0 })
    }
}
