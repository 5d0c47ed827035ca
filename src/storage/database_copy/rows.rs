//! Rows of any table: read in pages, and inserted.

use std::iter;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, QueryableByName};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, BoxedSqlQuery, QueryFragment, QueryId, SqlQuery};
use diesel::result::Error as SqlError;
use diesel::row::{Field, NamedRow};
use diesel::serialize::ToSql;
use diesel::sql_types::{Array, BigInt, Binary, Bool, HasSqlType, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteConnection, SqliteType};

use super::catalog::{Column, Kind, Table};
use crate::core::database::{Db, PgConnection};

/// Type ids of PostgreSQL.
const BOOL_OID: u32 = 16;
const BYTEA_OID: u32 = 17;
const BIGINT_OID: u32 = 20;
const TEXT_OID: u32 = 25;
/// Takes the place of U+0000, which PostgreSQL refuses in a text.
const REPLACEMENT: &str = "\u{fffd}";

/// A value of any type. A truth value is 0 or 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of a row, in the order of the columns of its table.
#[derive(Debug, Clone)]
pub(super) struct Row(Vec<Value>);

impl Row {
    pub(super) fn values(&self) -> &[Value] {
        &self.0
    }

    /// Returns the size in memory, approximately.
    pub(super) fn bytes(&self) -> usize {
        let heap = self.0.iter().map(|value| match value {
            Value::Null | Value::Integer(_) => 0,
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
        });
        heap.sum::<usize>() + self.0.len() * size_of::<Value>()
    }

    /// Replaces U+0000 in texts. Returns the number of changed texts.
    pub(super) fn replace_nul(&mut self) -> u64 {
        let mut changed = 0;
        for value in &mut self.0 {
            if let Value::Text(text) = value
                && text.contains('\0')
            {
                *text = text.replace('\0', REPLACEMENT);
                changed += 1;
            }
        }
        changed
    }
}

impl QueryableByName<Sqlite> for Row {
    fn build<'a>(row: &impl NamedRow<'a, Sqlite>) -> deserialize::Result<Self> {
        fields(row, |field| {
            let Some(value) = field else { return Ok(Value::Null) };
            match value.value_type() {
                None => Ok(Value::Null),
                Some(SqliteType::Long) => FromSql::<BigInt, Sqlite>::from_sql(value).map(Value::Integer),
                Some(SqliteType::Text) => FromSql::<Text, Sqlite>::from_sql(value).map(Value::Text),
                Some(SqliteType::Binary) => FromSql::<Binary, Sqlite>::from_sql(value).map(Value::Bytes),
                Some(other) => Err(format!("a value has the type {other:?}").into()),
            }
        })
    }
}

impl QueryableByName<Pg> for Row {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        fields(row, |field| {
            let Some(value) = field else { return Ok(Value::Null) };
            match value.get_oid().get() {
                BIGINT_OID => FromSql::<BigInt, Pg>::from_sql(value).map(Value::Integer),
                TEXT_OID => FromSql::<Text, Pg>::from_sql(value).map(Value::Text),
                BYTEA_OID => FromSql::<Binary, Pg>::from_sql(value).map(Value::Bytes),
                BOOL_OID => {
                    FromSql::<Bool, Pg>::from_sql(value).map(|is: bool| Value::Integer(i64::from(is)))
                }
                other => Err(format!("a value has the type with the id {other}").into()),
            }
        })
    }
}

fn fields<'a, DB: Backend>(
    row: &impl NamedRow<'a, DB>,
    read: impl for<'v> Fn(Option<DB::RawValue<'v>>) -> deserialize::Result<Value>,
) -> deserialize::Result<Row> {
    let mut values = Vec::with_capacity(row.field_count());
    for index in 0..row.field_count() {
        let field = diesel::row::Row::get(row, index).ok_or("a column is missing")?;
        values.push(read(field.value())?);
    }
    Ok(Row(values))
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn names<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    columns.map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
}

/// Returns the first `limit` rows after the key `after`, by primary key.
pub(super) fn page(db: &mut Db, table: &Table, after: Option<&[Value]>, limit: i64) -> QueryResult<Vec<Row>> {
    let (columns, keys) = (names(table.columns.iter()), names(table.keys()));
    let condition = after.map_or_else(String::new, |key| {
        let places: Vec<_> = (1..=key.len()).map(|n| format!("${n}")).collect();
        format!("WHERE ({keys}) > ({})", places.join(", "))
    });
    let query = diesel::sql_query(format!(
        "SELECT {columns} FROM {} {condition} ORDER BY {keys} LIMIT {limit}",
        quoted(&table.name)
    ));
    let after = after.unwrap_or_default();
    match db {
        Db::Sqlite(db) => bound(query.into_boxed::<Sqlite>(), after).load(db),
        Db::Postgres(db) => bound(query.into_boxed::<Pg>(), after).load(&mut db.queries),
    }
}

fn bound<'f, DB>(
    query: BoxedSqlQuery<'f, DB, SqlQuery>,
    values: &'f [Value],
) -> BoxedSqlQuery<'f, DB, SqlQuery>
where
    DB: Backend + HasSqlType<BigInt> + HasSqlType<Text> + HasSqlType<Binary>,
    i64: ToSql<BigInt, DB>,
    str: ToSql<Text, DB>,
    [u8]: ToSql<Binary, DB>,
{
    values.iter().fold(query, |query, value| match value {
        // A column of a primary key is not NULL.
        Value::Null => query,
        Value::Integer(number) => query.bind::<BigInt, _>(*number),
        Value::Text(text) => query.bind::<Text, _>(text.as_str()),
        Value::Bytes(bytes) => query.bind::<Binary, _>(bytes.as_slice()),
    })
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

fn number(db: &mut Db, sql: String) -> QueryResult<i64> {
    let query = diesel::sql_query(sql);
    let found: Number = match db {
        Db::Sqlite(db) => query.get_result(db)?,
        Db::Postgres(db) => query.get_result(&mut db.queries)?,
    };
    Ok(found.value)
}

/// Returns the number of rows.
pub(super) fn count(db: &mut Db, table: &Table) -> QueryResult<i64> {
    number(db, format!("SELECT count(*) AS value FROM {}", quoted(&table.name)))
}

/// Returns the largest id; 0 without rows.
pub(super) fn largest(db: &mut Db, table: &Table) -> QueryResult<i64> {
    let (key, table) = (names(table.keys()), quoted(&table.name));
    number(db, format!("SELECT coalesce(max({key}), 0) AS value FROM {table}"))
}

/// Inserts rows.
pub(super) fn insert(db: &mut Db, table: &Table, rows: Vec<Row>) -> QueryResult<()> {
    let into = format!("INSERT INTO {} ({}) ", quoted(&table.name), names(table.columns.iter()));
    match db {
        Db::Sqlite(db) => {
            let kinds: Vec<_> = table.columns.iter().map(|column| column.kind).collect();
            db.transaction(|db| {
                for row in &rows {
                    InsertRow { into: &into, kinds: &kinds, values: row.values() }.execute(db)?;
                }
                Ok(())
            })
        }
        Db::Postgres(db) => {
            let columns = columns(table, rows)?;
            InsertColumns { into: &into, columns }.execute(&mut db.queries).map(drop)
        }
    }
}

/// Inserts a row on SQLite; prepared once for each table.
struct InsertRow<'a> {
    into: &'a str,
    kinds: &'a [Kind],
    values: &'a [Value],
}

impl QueryId for InsertRow<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Sqlite> for InsertRow<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(self.into);
        for (n, (kind, value)) in iter::zip(self.kinds, self.values).enumerate() {
            out.push_sql(if n == 0 { "VALUES (" } else { ", " });
            match (value, kind) {
                (Value::Integer(number), _) => out.push_bind_param::<BigInt, _>(number)?,
                (Value::Text(text), _) => out.push_bind_param::<Text, _>(text)?,
                (Value::Bytes(bytes), _) => out.push_bind_param::<Binary, _>(bytes)?,
                (Value::Null, Kind::Integer | Kind::Bool) => {
                    out.push_bind_param::<Nullable<BigInt>, _>(&None::<i64>)?;
                }
                (Value::Null, Kind::Text) => out.push_bind_param::<Nullable<Text>, _>(&None::<&str>)?,
                (Value::Null, Kind::Bytes) => out.push_bind_param::<Nullable<Binary>, _>(&None::<&[u8]>)?,
            }
        }
        out.push_sql(")");
        Ok(())
    }
}

impl RunQueryDsl<SqliteConnection> for InsertRow<'_> {}

/// The values of a column.
enum Values {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Bools(Vec<Option<bool>>),
}

/// Turns rows into columns. Fails at a value of another type than its column: SQLite stores any.
fn columns(table: &Table, rows: Vec<Row>) -> QueryResult<Vec<Values>> {
    let mut columns: Vec<Values> = table
        .columns
        .iter()
        .map(|column| match column.kind {
            Kind::Integer => Values::Integers(Vec::with_capacity(rows.len())),
            Kind::Text => Values::Texts(Vec::with_capacity(rows.len())),
            Kind::Bytes => Values::Bytes(Vec::with_capacity(rows.len())),
            Kind::Bool => Values::Bools(Vec::with_capacity(rows.len())),
        })
        .collect();
    for row in rows {
        for (column, value) in iter::zip(&mut columns, row.0) {
            column.push(value)?;
        }
    }
    Ok(columns)
}

impl Values {
    fn push(&mut self, value: Value) -> QueryResult<()> {
        match (self, value) {
            (Self::Integers(column), Value::Integer(number)) => column.push(Some(number)),
            (Self::Integers(column), Value::Null) => column.push(None),
            (Self::Texts(column), Value::Text(text)) => column.push(Some(text)),
            (Self::Texts(column), Value::Null) => column.push(None),
            (Self::Bytes(column), Value::Bytes(bytes)) => column.push(Some(bytes)),
            (Self::Bytes(column), Value::Null) => column.push(None),
            (Self::Bools(column), Value::Integer(number)) => column.push(Some(number != 0)),
            (Self::Bools(column), Value::Null) => column.push(None),
            _ => return Err(SqlError::SerializationError("a value has another type than its column".into())),
        }
        Ok(())
    }
}

/// Inserts rows on PostgreSQL, with one statement that is prepared once for any number of rows.
struct InsertColumns<'a> {
    into: &'a str,
    columns: Vec<Values>,
}

impl QueryId for InsertColumns<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for InsertColumns<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.into);
        for (n, column) in self.columns.iter().enumerate() {
            out.push_sql(if n == 0 { "SELECT * FROM unnest(" } else { ", " });
            match column {
                Values::Integers(values) => out.push_bind_param::<Array<Nullable<BigInt>>, _>(values)?,
                Values::Texts(values) => out.push_bind_param::<Array<Nullable<Text>>, _>(values)?,
                Values::Bytes(values) => out.push_bind_param::<Array<Nullable<Binary>>, _>(values)?,
                Values::Bools(values) => out.push_bind_param::<Array<Nullable<Bool>>, _>(values)?,
            }
        }
        out.push_sql(")");
        Ok(())
    }
}

impl RunQueryDsl<PgConnection> for InsertColumns<'_> {}
