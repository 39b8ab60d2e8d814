//! The rounds by which a suspected difference proves to be one, or to have been the time between two readings.
//!
//! Owns the rule: the source is read, the target once it has passed that moment, the source again. A thing that is
//! equal to either reading of the source is settled. One that is not counts as different when the source showed the
//! same in two rounds running; when the source changed, its rounds begin anew. After [`ROUNDS`], or when the target
//! does not get there in time, it stays unsettled. What a "thing" is (a key, a kind of row, a whole table) and what
//! there is to be read of it is the caller's: see [`Sides`].

use super::session::Session;
use crate::error::Result;

/// Most rounds.
const ROUNDS: u32 = 10;

/// Rounds without a change on the source that make a difference.
const PROOF: u32 = 2;

/// Reads both sides of some things, known by their numbers.
pub trait Sides {
    /// What is compared.
    type Value: PartialEq + Copy + Send;

    /// What the source shows for these things, in their order.
    fn source(
        &mut self,
        session: &mut Session,
        things: &[usize],
    ) -> impl Future<Output = Result<Vec<Self::Value>>> + Send;

    /// What the target shows for these things, in their order.
    fn target(
        &mut self,
        session: &mut Session,
        things: &[usize],
    ) -> impl Future<Output = Result<Vec<Self::Value>>> + Send;
}

/// What the rounds have shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled<V> {
    /// Source and target of each thing that differs.
    pub differing: Vec<(V, V)>,
    /// Things that did not settle.
    pub unsettled: u64,
}

struct Thing<V> {
    number: usize,
    before: V,
    rounds: u32,
}

/// Settles the things `0..before.len()`, of which the source has just shown `before`.
///
/// # Errors
/// Those of the readings.
pub async fn settle<S: Sides>(
    session: &mut Session,
    sides: &mut S,
    before: Vec<S::Value>,
) -> Result<Settled<S::Value>> {
    let thing = |(number, before)| Thing { number, before, rounds: 0 };
    let mut open: Vec<Thing<S::Value>> = before.into_iter().enumerate().map(thing).collect();
    let mut differing = Vec::new();
    for _ in 0..ROUNDS {
        if open.is_empty() || !session.pass().await? {
            break;
        }
        let target = sides.target(session, &numbers(&open)).await?;
        let (still, target): (Vec<_>, Vec<_>) =
            open.into_iter().zip(target).filter(|(thing, target)| thing.before != *target).unzip();
        if still.is_empty() {
            return Ok(Settled { differing, unsettled: 0 });
        }
        let after = sides.source(session, &numbers(&still)).await?;
        open = Vec::new();
        for ((mut thing, target), after) in still.into_iter().zip(target).zip(after) {
            thing.rounds = if thing.before == after { thing.rounds + 1 } else { 0 };
            thing.before = after;
            if thing.rounds == PROOF {
                differing.push((after, target));
            } else if target != after {
                open.push(thing);
            }
        }
    }
    Ok(Settled { differing, unsettled: open.len() as u64 })
}

fn numbers<V>(things: &[Thing<V>]) -> Vec<usize> {
    things.iter().map(|thing| thing.number).collect()
}
