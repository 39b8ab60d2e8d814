use super::*;
use crate::ident::TableName;
use secrecy::ExposeSecret;
use std::time::Duration;

/// A file of one test, removed at its end.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sirenia-config-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn variables(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const URLS: [(&str, &str); 2] =
    [("SIRENIA_SOURCE_URL", "mysql://root:s3cret@db/lab"), ("SIRENIA_TARGET_URL", "postgres://pg:pw@127.0.0.1/labpg")];

fn resolve(name: &str, file: &str, list: &[(&str, &str)]) -> Result<Config> {
    let file = File::new(name, file);
    Inputs { file: Some(file.0.clone()), variables: variables(list), ..Inputs::default() }.resolve()
}

#[test]
fn two_urls_are_enough() {
    let config = resolve("urls", "", &URLS).unwrap();
    assert_eq!((config.source.host.as_str(), config.source.port, config.source.tls), ("db", 3306, Tls::Prefer));
    assert_eq!((config.target.database.as_str(), config.target.port, config.target.tls), ("labpg", 5432, Tls::Off));
    assert_eq!(config.target.to_string(), "127.0.0.1:5432/labpg");
    assert_eq!(config.pipeline, "default");
    assert_eq!(config.mapping.target(&TableName::new("lab", "a")).to_string(), "public.a");
    assert_eq!(config.http, Some("127.0.0.1:9477".parse().unwrap()));
    assert_eq!((config.lease.ttl, config.apply.readers), (Duration::from_secs(10), 2));
    assert!(config.warnings.is_empty());
}

#[test]
fn flags_beat_variables_beat_the_file() {
    let file = File::new("order", "pipeline = \"file\"\n[apply]\nreaders = 1\nbatch_rows = 10\nmemory = \"64MB\"\n");
    let mut list = URLS.to_vec();
    list.extend([("SIRENIA_PIPELINE", "env"), ("SIRENIA_APPLY_READERS", "3"), ("SYNC_BATCH_SIZE", "99")]);
    let flags = Raw { pipeline: Some("flag".into()), ..Raw::default() };
    let inputs = Inputs { file: Some(file.0.clone()), variables: variables(&list), flags, env_file: None };
    let config = inputs.resolve().unwrap();
    assert_eq!(config.pipeline, "flag");
    assert_eq!((config.apply.readers, config.apply.batch_rows, config.apply.memory), (3, 10, 64 << 20));
}

#[test]
fn a_stronger_url_leaves_nothing_of_the_weaker_login() {
    let file = "[source]\nhost = \"old\"\nport = 3399\nuser = \"old\"\npassword = \"old\"\ntls = \"verify-full\"\n\
                database = \"lab\"\n[target]\nurl = \"postgres://u:old@h/d\"\n";
    let config = resolve(
        "url-over-parts",
        file,
        &[("SIRENIA_SOURCE_URL", "mysql://new@db"), ("SIRENIA_TARGET_PASSWORD", "new"), ("SIRENIA_TARGET_HOST", "h2")],
    )
    .unwrap();
    let source = &config.source;
    assert_eq!((source.host.as_str(), source.port, source.user.as_str()), ("db", 3306, "new"));
    assert_eq!(source.password.expose_secret(), "");
    assert_eq!((source.tls, source.database.as_str()), (Tls::VerifyFull, "lab"));
    assert_eq!((config.target.host.as_str(), config.target.user.as_str()), ("h2", "u"));
    assert_eq!(config.target.password.expose_secret(), "new");
}

#[test]
fn the_php_tools_variables_are_the_weakest() {
    let list = [
        ("DB_HOST", "mysql"),
        ("DB_DATABASE", "lab"),
        ("DB_USERNAME", "laravel"),
        ("DB_PASSWORD", "s3cret"),
        ("PGSQL_HOST", "pg"),
        ("PGSQL_PORT", "5433"),
        ("PGSQL_DATABASE", "labpg"),
        ("PGSQL_USERNAME", "u"),
        ("SYNC_EXCLUDE_TABLES", "jobs, sessions"),
        ("SYNC_BATCH_SIZE", "500"),
    ];
    let config = resolve("legacy", "", &list).unwrap();
    assert_eq!(
        (config.source.to_string(), config.target.to_string()),
        ("mysql:3306/lab".into(), "pg:5433/labpg".into())
    );
    assert_eq!((config.mapping.exclude.len(), config.apply.batch_rows), (2, 500));

    let config = resolve("legacy-file", "[source]\nhost = \"db\"\nuser = \"u\"\ndatabase = \"lab\"\n", &list).unwrap();
    assert_eq!(config.source.to_string(), "db:3306/lab");
    assert_eq!(config.source.password.expose_secret(), "", "DB_PASSWORD must not go to another server");
    assert_eq!(config.target.host, "pg");
}

#[test]
fn an_env_file_is_weaker_than_the_process() {
    let env = File::new("dotenv", "DB_HOST=file\nDB_USERNAME=u\nDB_DATABASE=lab\nSIRENIA_PIPELINE=file\n");
    let list = variables(&[("DB_HOST", "process"), ("SIRENIA_TARGET_URL", "postgres://u@h/d")]);
    let empty = File::new("dotenv-toml", "");
    let inputs =
        Inputs { file: Some(empty.0.clone()), env_file: Some(env.0.clone()), variables: list, flags: Raw::default() };
    let config = inputs.resolve().unwrap();
    assert_eq!((config.source.host.as_str(), config.pipeline.as_str()), ("process", "file"));
}

#[test]
fn the_password_file_loses_its_line_end_only() {
    let secret = File::new("password", " p w \r\n");
    let file = format!("[source]\nurl = \"mysql://u@db/lab\"\npassword_file = {:?}\n", secret.0);
    let config = resolve("password-file", &file, &URLS[1..]).unwrap();
    assert_eq!(config.source.password.expose_secret(), " p w ");
    let missing = resolve("password-missing", "[source]\npassword_file = \"/nonexistent\"\n", &URLS[1..]);
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::Config);
    let both = format!("[source]\nurl = \"mysql://u:p@db/lab\"\npassword_file = {:?}\n", secret.0);
    assert!(
        resolve("password-both", &both, &URLS[1..]).unwrap_err().message().contains("password_file are both given")
    );
}

#[test]
fn secrets_show_nowhere() {
    let file = "[source]\nhost = \"db\"\nuser = \"u\"\npassword = \"hunter2\"\ndatabase = \"lab\"\n\
                [target]\nurl = \"postgres://u:hunter2@h/d\"\n";
    let raw = Raw::parse(file, Path::new("x")).unwrap();
    assert!(!format!("{raw:?}").contains("hunter2"));
    let config = resolve("secrets", file, &[]).unwrap();
    assert!(!format!("{config:?} {} {}", config.source, config.target).contains("hunter2"));
    let mut list = URLS.to_vec();
    list.push(("SIRENIA_APPLY_MEMORY", "hunter2"));
    let error = resolve("secret-variable", "", &list).unwrap_err();
    assert!(!error.report().contains("hunter2") && error.message().starts_with("SIRENIA_APPLY_MEMORY: expected"));
}

#[test]
fn several_databases_go_to_schemas_of_their_own() {
    let config = |text: &str| resolve("several", &format!("[source]\nurl = \"mysql://u@db\"\n{text}"), &URLS[1..]);
    let two = config("databases = [\"lab\", \"erp\"]\n[target.schemas]\nlab = \"public\"\n").unwrap();
    assert_eq!(two.source.database, "lab");
    assert_eq!(two.mapping.target(&TableName::new("lab", "a")).to_string(), "public.a");
    assert_eq!(two.mapping.target(&TableName::new("erp", "a")).to_string(), "erp.a");
    for (text, part) in [
        ("databases = [\"a\", \"b\"]\n[target]\nschema = \"public\"\n", "several databases"),
        ("databases = [\"a\", \"b\"]\n[target.schemas]\na = \"b\"\n", "both go to"),
        ("databases = [\"a\"]\n[target.schemas]\nc = \"b\"\n", "which is not carried"),
        ("databases = []\n", "is empty"),
        ("database = \"sirenia\"\n[target]\nschema = \"sirenia\"\n", "cannot go to"),
        ("", "database is not set"),
    ] {
        let error = config(text).expect_err(text);
        assert!(error.message().contains(part), "{text}: {}", error.message());
    }
}

#[test]
fn what_cannot_be_is_refused() {
    for (text, part) in [
        ("[source]\ncapture = \"triggers\"", "not available yet"),
        ("[apply]\nmemory = \"1MB\"", "apply.memory is 1MB"),
        ("[apply]\nreaders = 0", "apply.readers"),
        ("[apply]\nbatch_bytes = \"1GB\"", "apply.batch_bytes"),
        ("[lease]\nttl = 1", "lease.ttl"),
        ("[http]\nlisten = \"9477\"", "http.listen"),
        ("pipeline = \"A b\"", "pipeline's name"),
        ("[tables.rules.a]\nrows = \"a = 1 OR b = 2\"", "[tables.rules.\"a\"]: row filter"),
        ("[tables.rules.a]\nexclude_columns = [\"x\"]\nrename_columns = { x = \"y\" }", "both excluded and renamed"),
        ("[tables.rules.a]\nrename_columns = { x = \"z\", y = \"z\" }", "two columns"),
    ] {
        let error = resolve("refused", text, &URLS).expect_err(text);
        assert!(error.message().contains(part), "{text}: {}", error.message());
        assert_eq!(error.kind().exit_code(), 2);
    }
}

#[test]
fn http_may_be_off_and_unknown_variables_are_warned_of() {
    let mut list = URLS.to_vec();
    list.extend([("SIRENIA_HTTP_LISTEN", "off"), ("SIRENIA_SOURCE_PASWORD", "x"), ("SIRENIA_LOG", "debug")]);
    let config = resolve("http", "[http]\nlisten = \"0.0.0.0:80\"", &list).unwrap();
    assert_eq!((config.http, config.log.level.as_str()), (None, "debug"));
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("SIRENIA_SOURCE_PASWORD"));
}

#[test]
fn a_named_file_must_exist() {
    let inputs = Inputs { file: Some("/nonexistent/sirenia.toml".into()), ..Inputs::default() };
    assert!(inputs.resolve().unwrap_err().message().contains("cannot be read"));
}

#[test]
fn types_and_masks_by_column() {
    let text = "[types]\nenum = \"native\"\nset = \"text\"\ntime = \"time\"\njson = \"text\"\nbit1 = \"bit\"\n\
                datetime_zone = \"Asia/Jakarta\"\n[tables.rules.pasien.columns]\nnik = { mask = \"hmac\" }\nnama = { type = \"text\" }\n";
    let mut list = URLS.to_vec();
    list.push(("SIRENIA_MASK_KEY", " 0123456789abcdef\n"));
    let config = resolve("types", text, &list).unwrap();
    let types = &config.types;
    assert_eq!((types.r#enum, types.set, types.time), (EnumType::Native, SetType::Text, TimeType::Time));
    assert_eq!(
        (types.json, types.bit1, types.datetime_zone.as_deref()),
        (JsonType::Text, Bit1Type::Bit, Some("Asia/Jakarta"))
    );
    let table = TableName::new("lab", "pasien");
    assert_eq!(config.mapping.column_rule(&table, "nik").unwrap().mask, Some(crate::masking::Mask::Hmac));
    assert_eq!(config.mapping.column_rule(&table, "nama").unwrap().ty.as_deref(), Some("text"));
    let key = crate::masking::MaskKey::new(b"0123456789abcdef").unwrap();
    assert_eq!(config.mapping.mask_key, Some(key), "blanks around it are none of it");
    assert!(!format!("{config:?}").contains("0123456789abcdef"));

    let short = [URLS[0], URLS[1], ("SIRENIA_MASK_KEY", "hunter2")];
    let file = "[mask]\nkey_file = \"/nowhere/at/all\"\n";
    for (name, text, list, says) in [
        ("short", "", &short[..], "16 bytes"),
        ("file", file, &URLS[..], "/nowhere/at/all"),
        ("inline", "[mask]\nkey = \"hunter2hunter2hunter2\"\n", &URLS[..], "unknown field `key`"),
        (
            "both",
            "[tables.rules.a.columns]\nb = { type = \"text\", mask = \"hmac\" }\n",
            &URLS[..],
            "both a type and a mask",
        ),
        ("mask", "[tables.rules.a.columns]\nb = { mask = \"hunter2\" }\n", &URLS[..], "`drop`"),
    ] {
        let report = resolve(name, text, list).unwrap_err().report();
        assert!(report.contains(says) && !report.contains("hunter2"), "{report}");
    }
    // the stronger place's key alone
    let list = [URLS[0], URLS[1], ("SIRENIA_MASK_KEY", "0123456789abcdef")];
    assert!(resolve("stronger", file, &list).unwrap().mapping.mask_key.is_some());
}

#[test]
fn what_tables_get_besides_their_columns() {
    let urls = [("SIRENIA_SOURCE_URL", "mysql://u:p@db/lab"), ("SIRENIA_TARGET_URL", "postgres://u:p@pg/lab")];
    let plain = resolve("schema-plain", "", &urls).unwrap().schema;
    assert!(plain.foreign_keys && plain.comments && plain.defaults && plain.on_update_trigger);
    let mut list = urls.to_vec();
    list.push(("SIRENIA_SCHEMA_COMMENTS", "false"));
    let chosen = resolve("schema-chosen", "[schema]\nforeign_keys = false\n", &list).unwrap().schema;
    assert!(!chosen.foreign_keys && !chosen.comments && chosen.defaults);
    list.push(("SIRENIA_SCHEMA_DEFAULTS", "maybe"));
    assert!(resolve("schema-bad", "", &list).unwrap_err().report().contains("SIRENIA_SCHEMA_DEFAULTS"));
}
