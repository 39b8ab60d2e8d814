use super::*;
use clap::CommandFactory;

#[test]
fn clap_finds_no_fault() {
    Args::command().debug_assert();
}

#[test]
fn flags_stand_before_and_behind_the_command() {
    let url = "mysql://u:hunter2@h/d";
    let line = ["sirenia", "--source-url", url, "run", "--once", "--tables", "a,b*", "--log-format", "json"];
    let args = Args::try_parse_from(line).unwrap();
    assert!(!format!("{args:?}").contains("hunter2"));
    let Command::Run(run) = &args.command else { panic!("not run") };
    assert!(run.once);
    assert_eq!(run.tables.tables, ["a", "b*"]);
    let inputs = args.global.clone().inputs(|raw| run.flags(raw));
    assert_eq!(inputs.flags.tables.include.as_deref().map(<[String]>::len), Some(2));
    assert_eq!(inputs.flags.log.format, Some(LogFormat::Json));
    assert!(inputs.flags.source.url.is_some());
}

#[test]
fn every_command_reads_its_flags() {
    for line in [
        "demo --mysql --keep --tables 5 --rows 10 --seed 3 --seconds 1",
        "check --config x.toml --tables a",
        "status --json --watch",
        "verify --counts --json --tables a",
        "sanitized --json --tables a,b* --newest 3",
        "quarantine list --json --tables a",
        "quarantine retry 3 5 --wait 1 --tables a",
        "tables list --json --tables a",
        "tables pause a b* --wait 1",
        "tables resume a",
        "tables resync lab.a",
        "cutover --dry-run --wait 10 --json",
        "cutover --undo",
        "plan --sql --tables a",
        "plan --json",
        "reset --yes --pipeline lab",
        "tail --tables a,b --from binlog.000001:4 --until now --for 10s --values",
        "tail --files binlog.000001 binlog.000002 --schema old.rec --values=false",
        "record x.rec --from 0-1-7 --stop-at now",
        "record x.rec --files binlog.000001 --tables a",
        "replay x.rec --values=false",
    ] {
        Args::try_parse_from(std::iter::once("sirenia").chain(line.split(' '))).expect(line);
    }
    for line in [
        "demo --tables 0",
        "run --log-format xml",
        "explode",
        "",
        "tables pause",
        "tail --from yesterday",
        "tail --for 0s",
        "tail --for 10d",
        "tail --schema x.rec",
        "tail --from now --files x.000001",
        "record",
    ] {
        let error = Args::try_parse_from(["sirenia"].into_iter().chain(line.split_terminator(' '))).expect_err(line);
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn a_misplaced_url_loses_its_login() {
    let line = ["sirenia", "check", "mysql://u:hun@ter2@h/d"];
    let error = Args::try_parse_from(line).unwrap_err().to_string();
    assert!(error.contains("hun@ter2"), "clap repeats what it cannot read: {error}");
    let clean = without_logins(&error);
    assert!(!clean.contains("hun") && clean.contains("'mysql://***@h/d'"), "{clean}");
    assert_eq!(without_logins("see https://example.org/"), "see https://example.org/");
}
