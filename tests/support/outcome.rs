//! A command of the replicator run to its end, and what its error report says.

use super::{PATIENCE, World, tail};
use std::process::{Command, Stdio};
use std::time::Instant;

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The report that a command ends with: `error: <message>`, details, a blank line, `hint: …`.
#[derive(Debug)]
pub struct Report {
    /// The whole report.
    pub text: String,
    /// The primary line, without `error: `.
    pub message: String,
    /// The hint, unindented; empty when there is none.
    pub hint: String,
}

/// What a hint asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// A statement.
    Sql(String),
    /// A command of the replicator, without its name.
    Sirenia(Vec<String>),
}

/// The verbs that a statement in a hint begins with.
const VERBS: [&str; 13] = [
    "GRANT ",
    "SET GLOBAL ",
    "SET PERSIST ",
    "FLUSH ",
    "XA COMMIT ",
    "XA ROLLBACK ",
    "DROP ",
    "TRUNCATE ",
    "ALTER ",
    "CREATE ",
    "DELETE ",
    "REVOKE ",
    "INSTALL ",
];

impl Outcome {
    /// The error report at the end of stderr. Log lines may stand before it.
    pub fn report(&self) -> Report {
        let start = match self.stderr.rfind("\nerror: ") {
            Some(at) => at + 1,
            None if self.stderr.starts_with("error: ") => 0,
            None => panic!("no error report (exit code {}):\n{}\n{}", self.code, self.stdout, tail(&self.stderr)),
        };
        let text = self.stderr[start..].trim_end().to_owned();
        let message = text.lines().next().unwrap_or_default()["error: ".len()..].to_owned();
        let hint = text.split_once("\n\nhint: ").map(|(_, hint)| hint.replace("\n      ", "\n")).unwrap_or_default();
        Report { text, message, hint }
    }

    /// Fails unless the command stopped as an operator may expect: exit code 2 or 3; a report that names each of `says`
    /// (what, where, why; case does not matter); a hint; no password anywhere.
    pub fn assert_stops(&self, says: &[&str]) -> Report {
        assert!([2, 3].contains(&self.code), "exit code {}:\n{}\n{}", self.code, self.stdout, tail(&self.stderr));
        let report = self.report();
        let lower = report.text.to_lowercase();
        for part in says {
            assert!(lower.contains(&part.to_lowercase()), "{part:?} is not in the report:\n{}", report.text);
        }
        assert!(!report.message.trim().is_empty(), "nothing is said:\n{}", report.text);
        assert!(!report.hint.trim().is_empty(), "no hint:\n{}", report.text);
        self.assert_no_password();
        report
    }

    /// Fails if a password of the tests is in anything that the command wrote.
    pub fn assert_no_password(&self) {
        for word in ["secret@", ":secret", SECRET] {
            assert!(!self.stderr.contains(word), "a password in stderr:\n{}", tail(&self.stderr));
            assert!(!self.stdout.contains(word), "a password in stdout:\n{}", self.stdout);
        }
    }
}

/// The password of the users that tests make.
pub const SECRET: &str = "rahasia-9f3c";

impl Report {
    /// The statements and commands that the hint asks for, in order. A statement reaches to the end of its line, a
    /// semicolon or, where it stands in quotes of prose, the closing quote; a command of ours to what cannot be part of it.
    pub fn mends(&self) -> Vec<Mend> {
        let mut found = Vec::new();
        for line in self.hint.lines() {
            let mut rest = line;
            while let Some((at, mend, length)) = first_mend(rest) {
                found.push(mend);
                rest = &rest[at + length..];
            }
        }
        found
    }

    /// The statements alone.
    pub fn statements(&self) -> Vec<String> {
        let statements = self.mends().into_iter().filter_map(|mend| match mend {
            Mend::Sql(sql) => Some(sql),
            Mend::Sirenia(_) => None,
        });
        statements.collect()
    }
}

fn first_mend(text: &str) -> Option<(usize, Mend, usize)> {
    let begins = |at: usize| at == 0 || !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_`\"'.-/".contains(c));
    let sql = VERBS
        .iter()
        .flat_map(|verb| text.match_indices(verb).map(|(at, _)| at))
        .filter(|at| begins(*at) || text[..*at].ends_with('`'))
        .min();
    let ours = text.match_indices("sirenia ").map(|(at, _)| at).find(|at| begins(*at) || text[..*at].ends_with('`'));
    match (sql, ours) {
        (Some(at), ours) if ours.is_none_or(|ours| at < ours) => {
            let quoted = text[..at].ends_with('`');
            let statement = &text[at..];
            let end = statement.find(';').unwrap_or(statement.len());
            let end = if quoted { statement.rfind('`').unwrap_or(end).min(end) } else { end };
            // prose that goes on behind a statement
            let end = [", then ", " (", " and then ", ", and ", ", or ", " or "]
                .iter()
                .filter_map(|stop| statement[..end].find(stop))
                .min()
                .unwrap_or(end);
            Some((at, Mend::Sql(statement[..end].trim().to_owned()), end.max(1)))
        }
        (_, Some(at)) => {
            let command = &text[at + "sirenia ".len()..];
            if let Some(end) = command.find('`').filter(|_| text[..at].ends_with('`')) {
                let arguments = command[..end].split(' ').map(str::to_owned).collect();
                return Some((at, Mend::Sirenia(arguments), "sirenia ".len() + end));
            }
            let words: Vec<&str> = command
                .split(' ')
                .take_while(|word| word.chars().all(|c| c.is_ascii_alphanumeric() || "-_`,;.:".contains(c)))
                .collect();
            let mut arguments = Vec::new();
            for (n, word) in words.iter().enumerate() {
                let bare = word.trim_end_matches(|c: char| "`,;.:".contains(c));
                // the first word is the command, those behind it are flags and their values
                let value =
                    n > 1 && words[n - 1].starts_with("--") && words[n - 1] != "--yes" && words[n - 1] != "--once";
                if n == 0 || bare.starts_with('-') || value {
                    arguments.push(bare.to_owned());
                } else {
                    break;
                }
                if bare.len() != word.len() {
                    break;
                }
            }
            Some((at, Mend::Sirenia(arguments), "sirenia ".len()))
        }
        _ => None,
    }
}

impl World {
    /// Runs a command to its end. Killed, and a failure, when it does not end by itself.
    pub async fn finish(&self, mut command: Command) -> Outcome {
        let folder = self.source.folder().path();
        let paths = [folder.join("stdout"), folder.join("stderr")];
        let file = |n: usize| std::fs::File::create(&paths[n]).expect("create a file for the output");
        let mut child =
            command.stdin(Stdio::null()).stdout(file(0)).stderr(file(1)).spawn().expect("the command starts");
        let text = |n: usize| String::from_utf8_lossy(&std::fs::read(&paths[n]).unwrap_or_default()).into_owned();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("wait") {
                return Outcome { code: status.code().unwrap_or(-1), stdout: text(0), stderr: text(1) };
            }
            if Instant::now() >= deadline {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{command:?} does not end; it wrote:\n{}\n{}", text(0), tail(&text(1)));
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// `sirenia run` with more arguments, to its end.
    pub async fn run_to_end(&self, arguments: &[&str]) -> Outcome {
        let mut all = vec!["run"];
        all.extend(arguments);
        self.finish(self.command(&all)).await
    }

    /// The same with other servers or logins.
    pub async fn run_as(&self, source_url: &str, target_url: &str, arguments: &[&str]) -> Outcome {
        let mut all = vec!["run"];
        all.extend(arguments);
        let mut command = self.command(&all);
        command.env("SIRENIA_SOURCE_URL", source_url).env("SIRENIA_TARGET_URL", target_url);
        self.finish(command).await
    }

    /// Runs `sirenia run --once` and fails unless it says that all is done; then both sides must be equal.
    pub async fn assert_once_equal(&self) {
        let outcome = self.run_to_end(&["--once"]).await;
        assert_eq!(outcome.code, 0, "run --once:\n{}", tail(&outcome.stderr));
        self.assert_equal().await;
    }

    /// Does what a hint asks for: statements as the source's administrator, commands of ours as they stand.
    pub async fn mend_on_source(&self, report: &Report) {
        self.mend(report, false).await;
    }

    /// The same, statements as the target's administrator.
    pub async fn mend_on_target(&self, report: &Report) {
        self.mend(report, true).await;
    }

    async fn mend(&self, report: &Report, on_target: bool) {
        let mends = report.mends();
        assert!(!mends.is_empty(), "the hint names nothing to run:\n{}", report.text);
        for mend in mends {
            match mend {
                Mend::Sql(sql) if on_target => {
                    let done = self.target().await.batch_execute(&sql).await;
                    done.unwrap_or_else(|e| panic!("the hint's statement {sql:?} fails: {e:?}\n{}", report.text));
                }
                Mend::Sql(sql) => {
                    use mysql_async::prelude::Queryable;
                    let done = self.source().await.query_drop(&sql).await;
                    done.unwrap_or_else(|e| panic!("the hint's statement {sql:?} fails: {e}\n{}", report.text));
                }
                // what follows the mending: the caller does it
                Mend::Sirenia(arguments) if arguments.first().is_some_and(|command| command == "run") => {}
                Mend::Sirenia(arguments) => {
                    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                    let outcome = self.finish(self.command(&arguments)).await;
                    // verify says no where there is something to mend
                    let wanted = i32::from(arguments[0] == "verify");
                    assert_eq!(
                        outcome.code, wanted,
                        "the hint's command {arguments:?} fails:\n{}\n{}",
                        outcome.stderr, report.text
                    );
                }
            }
        }
    }
}

#[test]
fn hints_are_taken_apart() {
    let report = |hint: &str| Report { text: String::new(), message: String::new(), hint: hint.to_owned() };
    let sql = |text: &str| Mend::Sql(text.to_owned());
    let ours = |words: &[&str]| Mend::Sirenia(words.iter().map(|word| (*word).to_owned()).collect());
    assert_eq!(
        report("GRANT SELECT ON `lab`.* TO 'u'@'%'; GRANT RELOAD ON *.* TO 'u'@'%'").mends(),
        [sql("GRANT SELECT ON `lab`.* TO 'u'@'%'"), sql("GRANT RELOAD ON *.* TO 'u'@'%'")]
    );
    assert_eq!(report("run `sirenia reset --yes`, then start again").mends(), [ours(&["reset", "--yes"])]);
    assert_eq!(report("sirenia reset --pipeline lab --yes and sirenia run").mends().len(), 2);
    assert_eq!(
        report("set binlog_row_image: SET GLOBAL binlog_row_image = 'FULL'").mends(),
        [sql("SET GLOBAL binlog_row_image = 'FULL'")]
    );
    assert_eq!(report("check the user name and the password").mends(), []);
}
