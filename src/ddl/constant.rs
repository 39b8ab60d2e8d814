//! A constant default as the catalogue would print it: in the form of the column's type, not as it was written.

use super::server::Server;
use super::statement::DefaultClause;
use crate::schema::SourceType;

/// What `COLUMN_DEFAULT` shows; none where that is not known to the letter.
pub(super) fn printed(literal: &DefaultClause, ty: &SourceType, declared: &str, server: &Server) -> Option<String> {
    use SourceType as T;
    if let T::Bit { .. } = ty {
        return bits(literal).map(|bits| format!("b'{bits:b}'"));
    }
    let (text, number) = match literal {
        DefaultClause::Text(text) => (text.as_str(), false),
        DefaultClause::Number(text) => (text.strip_prefix('+').unwrap_or(text), true),
        _ => return None,
    };
    let shown = match ty {
        T::Int { .. } => Some(text.parse::<i128>().ok()?.to_string()),
        T::Year => text.parse::<u16>().ok().filter(|_| text.len() == 4).map(|_| text.to_owned()),
        T::Decimal { scale, .. } => decimal(text, usize::from(*scale)),
        T::Float | T::Double => match declared.split_once(',') {
            Some((_, scale)) => decimal(text, scale.split(')').next()?.parse().ok()?),
            None => float(text),
        },
        T::Date => is_like(text, "dddd-dd-dd").then(|| text.to_owned()),
        T::Time { fsp } => {
            let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
            is_like(clock, "dd:dd:dd").then_some(clock.to_owned() + &digits(fraction, *fsp)?)
        }
        T::DateTime { fsp } | T::Timestamp { fsp } => {
            let (moment, fraction) = text.split_once('.').unwrap_or((text, ""));
            let moment = if is_like(moment, "dddd-dd-dd") { format!("{moment} 00:00:00") } else { moment.to_owned() };
            is_like(&moment, "dddd-dd-dd dd:dd:dd").then_some(moment + &digits(fraction, *fsp)?)
        }
        T::Char { .. } => (!number && !text.ends_with(' ')).then(|| text.to_owned()),
        T::VarChar { .. } | T::Text { .. } | T::Json { text: true } => (!number).then(|| text.to_owned()),
        T::Binary { len } => {
            // MySQL prints it without its padding
            let len = if server.mariadb() { usize::try_from(*len).ok()? } else { text.len() };
            let padding = len.checked_sub(text.len())?;
            (text.is_ascii() && !number).then(|| text.to_owned() + &"\0".repeat(padding))
        }
        T::VarBinary { .. } | T::Blob { .. } => (text.is_ascii() && !number).then(|| text.to_owned()),
        T::Enum { labels } => labels.iter().find(|label| *label == text && !number).cloned(),
        T::Set { members } => set(members, text).filter(|_| !number),
        _ => None,
    }?;
    let bytes = matches!(ty, T::Binary { .. } | T::VarBinary { .. } | T::Blob { .. });
    if !server.mariadb() {
        let hex = || shown.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
        let bare = shown.is_empty() && !matches!(ty, T::Binary { .. });
        return Some(if bytes && !bare { format!("0x{}", hex()) } else { shown });
    }
    if matches!(ty, T::Int { .. } | T::Year | T::Decimal { .. } | T::Float | T::Double) {
        return Some(shown);
    }
    Some(super::resolve::quoted(&shown))
}

fn bits(literal: &DefaultClause) -> Option<u64> {
    match literal {
        DefaultClause::Bits(digits) => u64::from_str_radix(digits, 2).ok(),
        DefaultClause::Number(text) => text.parse().ok(),
        _ => None,
    }
}

/// With exactly as many digits behind the point; none where that rounds.
fn decimal(text: &str, scale: usize) -> Option<String> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > scale {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let zero = whole == "0" && fraction.bytes().all(|byte| byte == b'0');
    let sign = if zero { "" } else { sign };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0<scale$}") })
}

/// Few enough digits to be printed as they are.
fn float(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-');
    let value: f64 = text.parse().ok().filter(|_| plain && text.len() < 7)?;
    (value.abs() >= 0.001 || value == 0.0).then(|| format!("{}", value + 0.0))
}

/// A fraction of exactly `fsp` digits with its point.
fn digits(fraction: &str, fsp: u8) -> Option<String> {
    let fsp = usize::from(fsp);
    if fraction.len() > fsp || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(if fsp == 0 { String::new() } else { format!(".{fraction:0<fsp$}") })
}

/// Whether a text has this form, `d` being a digit.
fn is_like(text: &str, form: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| if wanted == b'd' { byte.is_ascii_digit() } else { byte == wanted };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

fn set(members: &[String], text: &str) -> Option<String> {
    if members.len() > 64 {
        return None;
    }
    let chosen: Vec<&str> = text.split(',').filter(|member| !member.is_empty()).collect();
    let known = chosen.iter().all(|member| members.iter().any(|other| other == member));
    let ordered: Vec<&str> = members.iter().map(String::as_str).filter(|member| chosen.contains(member)).collect();
    known.then(|| ordered.join(","))
}
