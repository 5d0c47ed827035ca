//! The tables of a database, as its catalog lists them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::rows::{Row, Value};
use super::{CopyError, Logins};
use crate::core::database::{Db, PgConnection, Postgres};

/// Tables that exist on PostgreSQL only. They are about nodes, not about users.
const POSTGRES_ONLY: [&str; 3] = ["commits", "nodes", "secrets"];
/// Tables from which the end of logins removes rows, and which has rows that depend on the engine.
const CHANGED_BY_LOGINS: &str = "refresh_tokens";
pub(super) const META: &str = "meta";

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Text,
    Bytes,
    Bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whether it is part of the primary key.
    pub(super) is_key: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// Sorted by name.
    pub(super) columns: Vec<Column>,
    /// Whether the database assigns its ids, and does not assign an id twice.
    pub(super) has_sequence: bool,
}

impl Table {
    /// Returns the columns of the primary key.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_key)
    }

    /// Returns the values of the primary key.
    pub(super) fn key_of(&self, row: &Row) -> Vec<Value> {
        let cells = self.columns.iter().zip(row.values());
        cells.filter(|(column, _)| column.is_key).map(|(_, value)| value.clone()).collect()
    }

    /// Returns whether source and target have the same number of rows.
    pub(super) fn is_compared(&self, logins: Logins) -> bool {
        self.name != META && (logins != Logins::End || self.name != CHANGED_BY_LOGINS)
    }
}

#[derive(QueryableByName)]
struct Listed {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    is_key: bool,
    #[diesel(sql_type = Bool)]
    has_sequence: bool,
}

const ON_SQLITE: &str = "SELECT m.name AS table_name, c.name AS name, c.type AS kind, c.pk > 0 AS is_key, \
         c.pk > 0 AND m.sql LIKE '%AUTOINCREMENT%' AS has_sequence \
     FROM sqlite_master m JOIN pragma_table_info(m.name) c \
     WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE '%diesel%' \
     ORDER BY m.name, c.name";

const ON_POSTGRES: &str = "SELECT CAST(t.relname AS TEXT) AS table_name, CAST(c.attname AS TEXT) AS name, \
         format_type(c.atttypid, NULL) AS kind, coalesce(c.attnum = ANY (k.indkey), FALSE) AS is_key, \
         c.attidentity <> '' AS has_sequence \
     FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid \
     LEFT JOIN pg_index k ON k.indrelid = t.oid AND k.indisprimary \
     WHERE t.relkind = 'r' AND t.relnamespace = CAST(current_schema() AS regnamespace) \
       AND c.attnum > 0 AND NOT c.attisdropped AND t.relname NOT LIKE '%diesel%' \
     ORDER BY CAST(t.relname AS TEXT) COLLATE \"C\", CAST(c.attname AS TEXT) COLLATE \"C\"";

/// Returns the first table of a database of PostgreSQL that has rows of users, in any version of
/// the schema, and also of another program.
pub(super) fn table_with_rows(db: &mut Postgres) -> QueryResult<Option<String>> {
    let listed = "SELECT CAST(relname AS TEXT) AS name FROM pg_class \
         WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace) \
           AND relname NOT LIKE '%diesel%' ORDER BY (relname = 'users') DESC, relname";
    let names: Vec<Name> = diesel::sql_query(listed).load(&mut db.queries)?;
    let of_users = names.into_iter().map(|row| row.name).filter(|name| !has_rows_of_nodes(name));
    for name in of_users {
        let quoted = name.replace('"', "\"\"");
        let any = format!("SELECT EXISTS (SELECT 1 FROM \"{quoted}\") AS answer");
        if ask(&mut db.queries, &any)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Returns whether a server without users has rows in the table.
fn has_rows_of_nodes(table: &str) -> bool {
    table == META || POSTGRES_ONLY.contains(&table)
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// Returns the truth value that `sql` selects as `answer`.
pub(super) fn ask(db: &mut PgConnection, sql: &str) -> QueryResult<bool> {
    diesel::sql_query(sql).get_result::<Answer>(db).map(|row| row.answer)
}

/// Returns the tables that both engines have, by name.
pub(super) fn tables(db: &mut Db) -> Result<Vec<Table>, CopyError> {
    let listed: Vec<Listed> = match db {
        Db::Sqlite(db) => diesel::sql_query(ON_SQLITE).load(db)?,
        Db::Postgres(db) => diesel::sql_query(ON_POSTGRES).load(&mut db.queries)?,
    };
    let mut tables: Vec<Table> = Vec::new();
    for Listed { table_name, name, kind, is_key, has_sequence } in listed {
        if POSTGRES_ONLY.contains(&table_name.as_str()) {
            continue;
        }
        let kind = match kind.to_ascii_uppercase().as_str() {
            "INTEGER" | "BIGINT" => Kind::Integer,
            "TEXT" => Kind::Text,
            "BLOB" | "BYTEA" => Kind::Bytes,
            "BOOLEAN" => Kind::Bool,
            other => {
                return Err(CopyError::Schema(format!("{table_name}.{name}, which has the type {other}")));
            }
        };
        let column = Column { name, kind, is_key };
        match tables.last_mut().filter(|table| table.name == table_name) {
            Some(table) => {
                table.columns.push(column);
                table.has_sequence |= has_sequence;
            }
            None => tables.push(Table { name: table_name, columns: vec![column], has_sequence }),
        }
    }
    Ok(tables)
}

/// Returns the first table or column that only one of the two has, or that has another type.
pub(super) fn difference(sources: &[Table], targets: &[Table]) -> Option<String> {
    let all = |tables: &[Table]| -> Vec<(String, Kind)> {
        let columns = tables.iter().flat_map(|table| {
            table.columns.iter().map(|column| (format!("{}.{}", table.name, column.name), column.kind))
        });
        columns.collect()
    };
    let (sources, targets) = (all(sources), all(targets));
    let other = |one: &[(String, Kind)], two: &[(String, Kind)]| {
        one.iter().find(|column| !two.contains(column)).map(|(name, _)| name.clone())
    };
    other(&sources, &targets).or_else(|| other(&targets, &sources))
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Returns the largest id that the database has assigned; 0: none.
pub(super) fn sequence(db: &mut Db, table: &Table) -> QueryResult<i64> {
    let name = sequence_name(db, table)?;
    let found: Option<Number> = match db {
        Db::Sqlite(db) => {
            let assigned = "SELECT seq AS value FROM sqlite_sequence WHERE name = $1";
            diesel::sql_query(assigned).bind::<Text, _>(&table.name).get_result(db).optional()?
        }
        Db::Postgres(db) => {
            let assigned =
                format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS value FROM {name}");
            Some(diesel::sql_query(assigned).get_result(&mut db.queries)?)
        }
    };
    Ok(found.map_or(0, |number| number.value))
}

/// Returns the name of the sequence on PostgreSQL, as SQL.
pub(super) fn sequence_name(db: &mut Db, table: &Table) -> QueryResult<String> {
    let Db::Postgres(db) = db else { return Ok(String::new()) };
    let Some(column) = table.keys().next() else { return Err(diesel::NotFound) };
    let found: Name = diesel::sql_query("SELECT pg_get_serial_sequence($1, $2) AS name")
        .bind::<Text, _>(&table.name)
        .bind::<Text, _>(&column.name)
        .get_result(&mut db.queries)?;
    Ok(found.name)
}
