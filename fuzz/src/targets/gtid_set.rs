//! GTID sets of both dialects: text in, text out, and what they contain.

use sirenia::position::{GtidSet, GtidSource, MariaDbGtidPosition, MySqlGtidSet};

/// Two sets with a `|` between them.
pub fn gtid_set(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (a, b) = text.split_once('|').unwrap_or((&text, ""));
    let [first, second] = [a, b].map(|text| text.parse::<MySqlGtidSet>());
    for set in [&first, &second].into_iter().flatten() {
        is_canonical(set);
        kept(&GtidSet::MySql(set.clone()));
    }
    if let (Ok(first), Ok(second)) = (first, second) {
        union(&first, &second);
    }
    let [first, second] = [a, b].map(|text| text.parse::<MariaDbGtidPosition>());
    for position in [&first, &second].into_iter().flatten() {
        assert_eq!(position.to_string().parse::<MariaDbGtidPosition>().as_ref().ok(), Some(position));
        kept(&GtidSet::MariaDb(position.clone()));
    }
    if let (Ok(mut first), Ok(second)) = (first, second) {
        second.iter().for_each(|(domain, server, sequence)| first.add(domain, server, sequence));
        assert!(first.contains_position(&second), "{first} and {second}");
    }
}

/// Sources without a transaction are left out, intervals lie apart, and the text is read as the same set.
fn is_canonical(set: &MySqlGtidSet) {
    for (source, intervals) in set.iter() {
        assert!(!intervals.is_empty() && intervals.iter().all(|(start, end)| 0 < *start && start < end), "{set}");
        assert!(intervals.windows(2).all(|pair| pair[0].1 < pair[1].0), "{set}");
        let tag = source.tag.as_bytes();
        let letters = tag.iter().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        assert!(letters && tag.len() <= 32 && !tag.first().is_some_and(u8::is_ascii_digit), "{set}");
    }
    let text = set.to_string();
    let again: MySqlGtidSet = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!((&again, again.to_string()), (set, text));
    assert!(set.contains_set(&again));
}

/// A checkpoint holds it as JSON.
fn kept(set: &GtidSet) {
    let json = serde_json::to_string(set).expect("JSON");
    assert_eq!(serde_json::from_str::<GtidSet>(&json).ok().as_ref(), Some(set), "{json}");
    assert!(set.contains(set));
}

/// Both together contain what one of them contains, and nothing else.
fn union(first: &MySqlGtidSet, second: &MySqlGtidSet) {
    let mut both = first.clone();
    for (source, intervals) in second.iter() {
        intervals.iter().for_each(|(start, end)| both.add_interval(source, *start, *end));
    }
    is_canonical(&both);
    assert!(both.contains_set(first) && both.contains_set(second), "{both}");
    let edges = |set: &MySqlGtidSet| {
        let of = |(source, intervals): (&GtidSource, &[(u64, u64)])| {
            let ends = intervals.iter().flat_map(|(start, end)| [start - 1, *start, end - 1, *end]);
            ends.map(|number| (source.clone(), number)).collect::<Vec<_>>()
        };
        set.iter().flat_map(of).collect::<Vec<_>>()
    };
    for (source, number) in edges(first).into_iter().chain(edges(second)) {
        let expected = first.contains(&source, number) || second.contains(&source, number);
        assert_eq!(both.contains(&source, number), expected, "{source}:{number} of {both}");
    }
    assert_eq!(first.contains_set(&both), first == &both, "{both}");
}
