//! The rounds by which a suspected difference proves to be one, or to have been the time between two readings.
//!
//! Owns the rule: the source is read, the target once it has passed that moment, the source again. A thing that is
//! equal to either reading of the source is settled. One that is not counts as different when the source showed the
//! same in two rounds running; when the source changed, its rounds begin anew. After [`ROUNDS`], or when the target
//! does not get there in time, it stays unsettled. What a "thing" is (a key, a kind of row, a whole table) and what
//! there is to be read of it is the caller's: see [`Sides`].

use crate::error::Result;

/// Most rounds.
const ROUNDS: u32 = 10;

/// Rounds without a change on the source that make a difference.
const PROOF: u32 = 2;

/// Both servers, as far as the rounds know them.
pub trait Passing {
    /// Waits until the target has everything that the source could show before this call. False when it took too long.
    ///
    /// # Errors
    /// Those of the connections; `TargetConflict` when the pipeline is reset meanwhile.
    fn pass(&mut self) -> impl Future<Output = Result<bool>> + Send;
}

/// Reads both sides of some things, known by their numbers, in a session.
pub trait Sides<C> {
    /// What is compared.
    type Value: PartialEq + Copy + Send;

    /// What the source shows for these things, in their order.
    fn source(&mut self, session: &mut C, things: &[usize]) -> impl Future<Output = Result<Vec<Self::Value>>> + Send;

    /// What the target shows for these things, in their order.
    fn target(&mut self, session: &mut C, things: &[usize]) -> impl Future<Output = Result<Vec<Self::Value>>> + Send;
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
pub async fn settle<C: Passing, S: Sides<C>>(
    session: &mut C,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What each reading shows of each thing; the last one stays.
    struct Script {
        source: Vec<Vec<u8>>,
        target: Vec<Vec<u8>>,
    }

    /// How often the target gets there.
    struct Waits(u32);

    impl Passing for Waits {
        async fn pass(&mut self) -> Result<bool> {
            self.0 = self.0.saturating_sub(1);
            Ok(self.0 > 0)
        }
    }

    fn next(script: &mut Vec<Vec<u8>>, things: &[usize]) -> Vec<u8> {
        let reading = if script.len() > 1 { script.remove(0) } else { script[0].clone() };
        things.iter().map(|at| reading[*at]).collect()
    }

    impl Sides<Waits> for Script {
        type Value = u8;

        async fn source(&mut self, _: &mut Waits, things: &[usize]) -> Result<Vec<u8>> {
            Ok(next(&mut self.source, things))
        }

        async fn target(&mut self, _: &mut Waits, things: &[usize]) -> Result<Vec<u8>> {
            Ok(next(&mut self.target, things))
        }
    }

    async fn settled(before: &[u8], source: &[&[u8]], target: &[&[u8]], waits: u32) -> Settled<u8> {
        let own = |script: &[&[u8]]| script.iter().map(|reading| reading.to_vec()).collect();
        let mut script = Script { source: own(source), target: own(target) };
        settle(&mut Waits(waits), &mut script, before.to_vec()).await.unwrap()
    }

    const ALWAYS: u32 = 1000;

    #[tokio::test]
    async fn equal_to_either_reading_is_equal() {
        let equal = Settled { differing: vec![], unsettled: 0 };
        assert_eq!(settled(&[], &[&[]], &[&[]], ALWAYS).await, equal);
        assert_eq!(settled(&[1, 1, 1], &[&[9, 2, 9], &[9, 9, 2]], &[&[1, 2, 5], &[9, 9, 2]], ALWAYS).await, equal);
    }

    #[tokio::test]
    async fn a_difference_takes_two_quiet_rounds() {
        let differing = Settled { differing: vec![(1, 2)], unsettled: 0 };
        assert_eq!(settled(&[1], &[&[1]], &[&[2]], ALWAYS).await, differing);
        // one round is late, not different
        let equal = Settled { differing: vec![], unsettled: 0 };
        assert_eq!(settled(&[1], &[&[1]], &[&[2], &[1]], ALWAYS).await, equal);
        // a change on the source begins anew
        let script: [&[u8]; 4] = [&[1], &[3], &[3], &[3]];
        assert_eq!(settled(&[1], &script, &[&[2], &[2], &[2], &[3]], ALWAYS).await, equal);
        let late = Settled { differing: vec![(3, 2)], unsettled: 0 };
        assert_eq!(settled(&[1], &script, &[&[2]], ALWAYS).await, late);
    }

    #[tokio::test]
    async fn what_does_not_settle_is_said() {
        let restless: Vec<Vec<u8>> = (10..40).map(|n| vec![n, 7]).collect();
        let restless: Vec<&[u8]> = restless.iter().map(Vec::as_slice).collect();
        let found = settled(&[9, 7], &restless, &[&[1, 8]], ALWAYS).await;
        assert_eq!(found, Settled { differing: vec![(7, 8)], unsettled: 1 });
        // the target never gets there
        assert_eq!(settled(&[1, 2], &[&[1, 2]], &[&[2, 2]], 0).await, Settled { differing: vec![], unsettled: 2 });
        assert_eq!(settled(&[1, 2], &[&[1, 2]], &[&[2, 2]], 2).await, Settled { differing: vec![], unsettled: 1 });
    }
}
