use super::*;
use crate::schema::SourceType;
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
