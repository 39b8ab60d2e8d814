//! What the demo says on the way: lasting lines, and a passing one below them.
//!
//! On a terminal the passing line is redrawn in place; elsewhere it is written as an ordinary line every two seconds.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Between passing lines where there is no terminal.
const LINE: Duration = Duration::from_secs(2);

/// Writes to stderr, each line with the seconds since the start.
pub(super) struct Screen {
    started: Instant,
    bar: Option<ProgressBar>,
    last_line: Cell<Instant>,
}

impl Screen {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { started: Instant::now(), bar, last_line: Cell::new(Instant::now()) }
    }

    /// A line that stays.
    pub fn step(&self, text: &str) {
        let line = self.stamped(text);
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
        self.last_line.set(Instant::now());
    }

    /// How it stands just now.
    pub fn now(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(self.stamped(text));
                bar.tick();
            }
            None if self.last_line.get().elapsed() >= LINE => self.step(text),
            None => {}
        }
    }

    /// Takes the passing line away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn stamped(&self, text: &str) -> String {
        format!("{:>6.1} s  {text}", self.started.elapsed().as_secs_f64())
    }
}
