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

/// Tables that exist on PostgreSQL only.
const POSTGRES_ONLY: [&str; 3] = ["commits", "nodes", "secrets"];

/// The migrations of PostgreSQL that add columns: the first one, then `ALTER TABLE … ADD COLUMN`.
const ON_POSTGRES: [&str; 5] = [
    include_str!("../../migrations-postgres/2026-11-30-000000_schema/up.sql"),
    include_str!("../../migrations-postgres/2026-11-30-170000_storage_nodes/up.sql"),
    include_str!("../../migrations-postgres/2026-11-30-200000_files/up.sql"),
    include_str!("../../migrations-postgres/2026-11-30-210000_lfs/up.sql"),
    include_str!("../../migrations-postgres/2026-11-30-220000_avatars/up.sql"),
];

/// Returns `table.column -> Type` for every column of the migrations of PostgreSQL, which have one
/// column per line.
fn on_postgres() -> Vec<String> {
    let (mut table, mut columns) = ("", Vec::new());
    for line in ON_POSTGRES.iter().flat_map(|migration| migration.lines()) {
        let added = line.strip_prefix("ALTER TABLE ").and_then(|rest| rest.split_once(" ADD COLUMN "));
        let line = match added {
            Some((altered, column)) => {
                table = altered;
                column.trim_end_matches(';')
            }
            None => line,
        };
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            table = rest.split_whitespace().next().unwrap_or_default();
        } else if line.starts_with(')') {
            table = "";
        }
        let mut words = line.split_whitespace();
        let (Some(name), Some(kind)) = (words.next(), words.next()) else { continue };
        let plain = match kind.trim_end_matches(',') {
            "BIGINT" => "BigInt",
            "TEXT" => "Text",
            "BYTEA" => "Binary",
            "BOOLEAN" => "Bool",
            _ => continue,
        };
        if table.is_empty() || POSTGRES_ONLY.contains(&table) || line.starts_with("CREATE") {
            continue;
        }
        let required = line.contains("NOT NULL") || line.contains("PRIMARY KEY");
        let shown = if required { plain.to_owned() } else { format!("Nullable<{plain}>") };
        columns.push(format!("{table}.{name} -> {shown}"));
    }
    columns.sort();
    columns
}

#[test]
fn schema_of_postgres_has_the_same_columns() {
    let mut printed = printed();
    printed.sort();
    assert_eq!(printed, on_postgres());
}
