//! Cutting a large table into ranges of its key, so that several readers can read it at once.
//!
//! Cut are tables whose key begins with an integer. The values from the smallest to the largest are halved, and the halves
//! again, as long as the server estimates too many rows between two values (EXPLAIN, which looks at a few pages of the
//! index): a few values far away from all others do not spoil the ranges. The estimates need not be right: ranges of another
//! size cost time and nothing else. The first range begins at the table's beginning and the last one ends at its end, whatever
//! comes there meanwhile; so each row is in just one range.
//!
//! Other large tables are one range. (Their bounds could only be found by walking the key, which for InnoDB's primary key
//! is reading the table.)

use crate::error::{Result, corrupt};
use crate::schema::TableSchema;
use crate::source::client::TextRow;
use crate::source::refusal::Doing;
use crate::source::rows::RowSession;
use crate::source::snapshot::key::{KeyOrder, KeyValue, encode};

/// Estimated bytes from which on a table is cut.
const LARGE: u64 = 32 << 20;
/// Estimated bytes of a range.
const RANGE: u64 = 16 << 20;
/// Most ranges of a table.
const MOST: u64 = 64;
/// Most questions for estimates.
const QUESTIONS: usize = 600;

/// Whether [`cut`] may cut the table.
#[must_use]
pub fn is_large(table: &TableSchema) -> bool {
    table.estimated_bytes >= LARGE && KeyOrder::of(table).is_some_and(|order| order.leading_integer().is_some())
}

/// The last keys of the table's ranges, in the order of the key, as [`super::reader::ChunkReader::within`] takes them; none
/// for the last range.
///
/// # Errors
/// Those of the connection.
pub async fn cut(source: &mut RowSession, table: &TableSchema) -> Result<Vec<Option<Vec<u8>>>> {
    let order = KeyOrder::of(table).filter(|_| is_large(table));
    let Some((column, unsigned, descending)) = order.as_ref().and_then(KeyOrder::leading_integer) else {
        return Ok(vec![None]);
    };
    let doing = format!("cannot read the bounds of {}", table.name);
    let sql = format!("SELECT MIN({column}), MAX({column}) FROM {}", table.name.mysql());
    let rows = source.query(&sql).await.doing(&doing)?;
    let Some([Some(least), Some(most)]) = rows.first().and_then(|row| row.first_chunk()) else {
        return Ok(vec![None]); // it is empty
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i128>().ok();
    let (Some(least), Some(most)) = (number(least), number(most)) else {
        return Err(corrupt(doing).detail("the server's answer is no number"));
    };
    let ranges = (table.estimated_bytes / RANGE).min(MOST);
    let enough = (table.estimated_rows / ranges).max(1);
    let mut pieces = Pieces { open: vec![(least, most)], enough, done: Vec::new() };
    for _ in 0..QUESTIONS {
        let Some((from, to)) = pieces.next() else { break };
        // not FORCE INDEX, for which MySQL spares itself the look into the index
        let sql = format!(
            "EXPLAIN FORMAT=TRADITIONAL SELECT {column} FROM {} USE INDEX ({}) WHERE {column} BETWEEN {from} AND {to}",
            table.name.mysql(),
            order.as_ref().map_or("", |order| &order.index)
        );
        let rows = match source.query(&sql).await {
            // of an invisible index, for one, it says nothing; there is no need to cut
            Err(mysql_async::Error::Server(_)) => return Ok(vec![None]),
            rows => rows.doing(&doing)?,
        };
        pieces.estimated(rows.first().map_or(0, estimate));
    }
    let mut bounds = Vec::new();
    for last in pieces.ends(descending) {
        let value = match unsigned {
            true => u64::try_from(last).ok().map(KeyValue::UInt),
            false => i64::try_from(last).ok().map(KeyValue::Int),
        };
        bounds.push(Some(encode(&[value.ok_or_else(|| corrupt(doing.as_str()))?])?));
    }
    bounds.push(None);
    Ok(bounds)
}

/// The `rows` of an EXPLAIN: the last column but one, but for MySQL's `filtered` between; none where no row can be there.
fn estimate(row: &TextRow) -> u64 {
    let at = if row.len() >= 12 { row.len() - 3 } else { row.len().saturating_sub(2) };
    let text = row.get(at).and_then(Option::as_deref).and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Pieces of an interval of numbers, halved until each has few enough rows.
struct Pieces {
    /// Those whose rows are not known yet, the lowest last.
    open: Vec<(i128, i128)>,
    /// The rows of a range.
    enough: u64,
    /// First and last number and rows, in order.
    done: Vec<(i128, i128, u64)>,
}

impl Pieces {
    /// The piece whose rows are to be estimated next.
    fn next(&self) -> Option<(i128, i128)> {
        self.open.last().copied()
    }

    fn estimated(&mut self, rows: u64) {
        let Some((from, to)) = self.open.pop() else { return };
        if rows <= self.enough / 2 || from >= to {
            return self.done.push((from, to, rows));
        }
        let middle = from + (to - from) / 2;
        self.open.extend([(middle + 1, to), (from, middle)]);
    }

    /// The last numbers of all ranges but the last, in the order of the key. What was not estimated goes to the last.
    fn ends(self, descending: bool) -> Vec<i128> {
        let (mut pieces, mut ends, mut rows) = (self.done, Vec::new(), 0);
        if descending {
            pieces.reverse();
        }
        let last = pieces.len().saturating_sub(1);
        for (from, to, more) in pieces.into_iter().take(last) {
            rows += more;
            if rows >= self.enough && ends.len() as u64 + 1 < MOST {
                ends.push(if descending { from } else { to });
                rows = 0;
            }
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends for rows with these numbers.
    fn ends(numbers: &[i128], enough: u64, descending: bool) -> Vec<i128> {
        let (least, most) = (numbers[0], numbers[numbers.len() - 1]);
        let mut pieces = Pieces { open: vec![(least, most)], enough, done: Vec::new() };
        let mut asked = 0;
        while let Some((from, to)) = pieces.next() {
            pieces.estimated(numbers.iter().filter(|number| (from..=to).contains(number)).count() as u64);
            asked += 1;
        }
        assert!(asked <= QUESTIONS, "{asked}");
        pieces.ends(descending)
    }

    #[test]
    fn ranges_have_as_many_rows_wherever_the_numbers_lie() {
        let mut numbers: Vec<i128> = (0..1000).map(|n| n * 3 - 500).collect();
        for far in [None, Some(i128::from(u64::MAX)), Some(1_000_000)] {
            numbers.extend(far);
            numbers.sort_unstable();
            for descending in [false, true] {
                let ends = ends(&numbers, 100, descending);
                assert!((6..=10).contains(&ends.len()), "{ends:?}");
                let mut left = numbers.clone();
                for end in &ends {
                    let before = left.len();
                    left.retain(|number| if descending { number < end } else { number > end });
                    assert!((100..=150).contains(&(before - left.len())), "{ends:?}");
                }
                assert!(left.len() <= 150, "{ends:?}");
            }
        }
        assert_eq!(ends(&[7], 1, false), [0; 0]);
        assert_eq!(ends(&[7, 8], 1, false), [7]);
        assert_eq!(ends(&[7, 8], 1, true), [8]);
        let many: Vec<i128> = (0..200).collect();
        assert_eq!(ends(&many, 1, false).len() as u64, MOST - 1);
    }

    #[test]
    fn estimates_are_read_from_either_server() {
        let row = |cells: &[&str]| -> TextRow { cells.iter().map(|cell| Some(cell.as_bytes().to_vec())).collect() };
        assert_eq!(estimate(&row(&["1", "SIMPLE", "t", "range", "p", "p", "4", "", "77", "Using where"])), 77);
        assert_eq!(estimate(&row(&["1", "SIMPLE", "t", "", "range", "p", "p", "4", "", "77", "100.00", "where"])), 77);
        assert_eq!(estimate(&row(&["Impossible WHERE"])), 0);
        assert_eq!(estimate(&Vec::new()), 0);
    }
}
