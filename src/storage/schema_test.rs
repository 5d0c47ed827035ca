//! Checks that `schema.rs`, which is generated from the migrations, still matches them.

use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};

use crate::core::config::Synchronous;
use crate::core::database;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Integer)]
    required: i32,
}

fn diesel_type(column: &Column) -> String {
    let plain = match column.kind.as_str() {
        "INTEGER" | "BIGINT" => "BigInt",
        "TEXT" => "Text",
        "BLOB" => "Binary",
        "BOOLEAN" => "Bool",
        other => panic!("the migrations use {other}, which this test does not know"),
    };
    if column.required == 1 { plain.to_owned() } else { format!("Nullable<{plain}>") }
}

/// Returns `table.column -> Type` for every column in the text of `schema.rs`.
fn printed() -> Vec<String> {
    let (mut table, mut columns) = ("", Vec::new());
    for line in include_str!("schema.rs").lines() {
        let line = line.trim().trim_end_matches(',');
        if let Some((name, _)) = line.strip_suffix('{').and_then(|line| line.split_once(" (")) {
            table = name;
        } else if line.contains(" -> ") && !line.contains('!') {
            columns.push(format!("{table}.{line}"));
        }
    }
    columns
}

#[test]
fn schema_file_matches_migrations() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("netbit.db");
    let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
    database::migrate(&mut db, &path).unwrap();
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT m.name AS \"table\", c.name AS name, c.type AS kind, c.\"notnull\" AS required \
         FROM sqlite_master m JOIN pragma_table_info(m.name) c \
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '%diesel%' ORDER BY m.name, c.cid",
    )
    .load(&mut db)
    .unwrap();
    let migrated: Vec<_> =
        columns.iter().map(|c| format!("{}.{} -> {}", c.table, c.name, diesel_type(c))).collect();
    assert!(migrated.len() > 40);
    assert_eq!(
        printed(),
        migrated,
        "run `diesel migration run` with diesel's command-line tool to generate it again"
    );
}
