use super::*;
use crate::schema::{ColumnDefault, SourceType};
use crate::source::connect::connect;
use crate::source::testing::{mapping, run, servers};

const TABLES: &str = "
CREATE TABLE parent (id int PRIMARY KEY, code varchar(10) CHARACTER SET latin1 NOT NULL COMMENT 'it''s', UNIQUE KEY code (code));
CREATE TABLE `odd ``name` (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, parent int, other int,
  CONSTRAINT `fk ``a` FOREIGN KEY (parent) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE SET NULL,
  CONSTRAINT fkb FOREIGN KEY (other) REFERENCES parent (id));
CREATE TABLE kinds (e enum('a,b','it''s','b\\\\s','n\\nl','é)') NOT NULL, s set('x','y') NOT NULL,
  b bit(9), d decimal(12,3) unsigned, flag tinyint(1), f datetime(3), t time, ts timestamp(6) NULL, y year,
  g int GENERATED ALWAYS AS (flag + 1) VIRTUAL, bin binary(4), blo mediumblob, txt longtext, p point, j json,
  hidden int INVISIBLE, KEY part (txt(7)), UNIQUE KEY u (e, bin));
CREATE TABLE skipped (id int);
CREATE VIEW v AS SELECT 1 AS one;
CREATE TABLE my (id int) ENGINE=MyISAM";

#[tokio::test]
async fn catalogue_is_read_whole_even_by_an_account_with_select_alone() {
    for server in servers() {
        let mut root = server.database("cat").await;
        run(&mut root, TABLES).await;
        run(&mut root, "CREATE USER cat@'%' IDENTIFIED BY 'pw'; GRANT SELECT ON cat.* TO cat@'%'").await;
        let mut conn = connect(&server.config("cat", "pw")).await.unwrap();
        let mut map = mapping(&["cat"]);
        map.exclude = vec!["skipped".into()];
        let catalog = read_settled(&mut conn, server.flavor, &map).await.unwrap();
        let names: Vec<&str> = catalog.tables.iter().map(|table| table.name.table.as_str()).collect();
        assert_eq!(names, ["kinds", "my", "odd `name", "parent"], "{:?}", server.flavor);
        let [kinds, my, odd, parent] = &catalog.tables[..] else { panic!() };

        assert!(!my.transactional && parent.transactional);
        assert_eq!(parent.columns[1].comment, "it's");
        assert_eq!(parent.columns[1].ty.charset().unwrap().name, "latin1");
        assert_eq!(parent.key().unwrap().name, "PRIMARY");
        assert!(odd.columns[0].auto_increment && !odd.columns[1].auto_increment);
        assert!(matches!(odd.columns[0].ty, SourceType::Int { bytes: 8, unsigned: true, .. }));

        let key = |name: &str| odd.foreign_keys.iter().find(|key| key.name == name).unwrap();
        assert_eq!((key("fk `a").on_delete, key("fk `a").on_update), (Action::Cascade, Action::SetNull));
        assert!(!key("fkb").acts());
        assert_eq!(
            (key("fkb").parent.table.as_str(), &key("fkb").parent_columns[..]),
            ("parent", &["id".to_owned()][..])
        );

        let ty = |name: &str| kinds.columns[kinds.column(name).unwrap()].ty.clone();
        let labels = ["a,b", "it's", "b\\s", "n\nl", "é)"].map(str::to_owned).to_vec();
        assert_eq!(ty("e"), SourceType::Enum { labels });
        assert_eq!(ty("b"), SourceType::Bit { bits: 9 });
        assert_eq!(ty("d"), SourceType::Decimal { precision: 12, scale: 3, unsigned: true });
        assert!(matches!(ty("flag"), SourceType::Int { bytes: 1, boolean: true, .. }));
        assert_eq!((ty("f"), ty("t")), (SourceType::DateTime { fsp: 3 }, SourceType::Time { fsp: 0 }));
        assert_eq!((ty("ts"), ty("y")), (SourceType::Timestamp { fsp: 6 }, SourceType::Year));
        assert_eq!((ty("bin"), ty("p")), (SourceType::Binary { len: 4 }, SourceType::Geometry));
        assert_eq!(ty("j"), SourceType::Json { text: server.flavor == Flavor::MariaDb });
        assert!(matches!(ty("txt"), SourceType::Text { length_bytes: 4, .. }));
        assert!(kinds.columns[kinds.column("g").unwrap()].generated);
        assert!(kinds.column("hidden").is_some());
        let part = kinds.indexes.iter().find(|index| index.name == "part").unwrap();
        assert_eq!((part.kind, part.parts[0].prefix), (IndexKind::Plain, Some(7)));
        assert!(kinds.key().is_none(), "a nullable part identifies nothing");
    }
}

#[test]
fn actions_are_read_from_the_created_table() {
    let sql = "CREATE TABLE `c` (\n  `p` int(11) COMMENT 'CONSTRAINT `x` FOREIGN KEY (`) ON DELETE CASCADE',\n  CONSTRAINT `x` FOREIGN KEY (`p`) REFERENCES `a``b` (`id`) ON DELETE SET NULL ON UPDATE CASCADE,\n  CONSTRAINT `y` FOREIGN KEY (`p`) REFERENCES `p` (`id`)\n)";
    assert_eq!(actions_in(sql, "x"), Some((Action::SetNull, Action::Cascade)));
    assert_eq!(actions_in(sql, "y"), Some((Action::Restrict, Action::Restrict)));
    assert_eq!(actions_in(sql, "z"), None);
}

#[tokio::test]
async fn defaults_checks_and_expressions_are_read() {
    const TABLE: &str =
        "CREATE TABLE t (id int PRIMARY KEY DEFAULT 7, a varchar(20) DEFAULT 'it''s', n int DEFAULT NULL,
      at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, u varchar(36) DEFAULT (uuid()),
      v int GENERATED ALWAYS AS (id + 1) VIRTUAL, s int GENERATED ALWAYS AS (id * 2) STORED,
      CONSTRAINT positive CHECK (id > 0)) CHARACTER SET latin1 COLLATE latin1_swedish_ci";
    for server in servers() {
        let mut conn = server.database("defaults").await;
        run(&mut conn, TABLE).await;
        if server.flavor == Flavor::MySql {
            run(&mut conn, "ALTER TABLE t ADD KEY f ((n + 1)), ADD CONSTRAINT off CHECK (n > 0) NOT ENFORCED").await;
        }
        let catalog = read(&mut conn, server.flavor, &mapping(&["defaults"])).await.unwrap();
        let table = &catalog.tables[0];
        assert_eq!(table.charset.as_ref().unwrap().collation, "latin1_swedish_ci");
        assert_eq!(table.charset.as_ref().unwrap().name, "latin1");
        let column = |name: &str| &table.columns[table.column(name).unwrap()];
        assert_eq!(column("id").default, Some(ColumnDefault::Literal("7".into())));
        assert_eq!(column("a").default, Some(ColumnDefault::Literal("it's".into())));
        assert_eq!(column("n").default, None);
        let Some(ColumnDefault::Expression(now)) = &column("at").default else { panic!("{:?}", column("at")) };
        assert!(now.to_lowercase().starts_with("current_timestamp"), "{now}");
        assert!(column("at").on_update_now && !column("id").on_update_now);
        assert_eq!(column("u").default, Some(ColumnDefault::Expression("uuid()".into())));
        let generation = |name: &str| column(name).generation.clone().map(|g| (g.expression.contains("id"), g.stored));
        assert_eq!(
            (generation("v"), generation("s"), generation("id")),
            (Some((true, false)), Some((true, true)), None)
        );
        let checks: Vec<_> = table.checks.iter().map(|check| (check.name.as_str(), check.enforced)).collect();
        if server.flavor == Flavor::MySql {
            assert_eq!(checks, [("off", false), ("positive", true)]);
            let index = table.indexes.iter().find(|index| index.name == "f").unwrap();
            assert_eq!(index.parts[0].expression.as_deref(), Some("(`n` + 1)"));
        } else {
            assert_eq!(checks, [("positive", true)]);
        }
    }
}
