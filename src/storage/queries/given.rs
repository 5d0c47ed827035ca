//! Statements over many rows that the caller gives, as a table of values.

use super::Backend;
use diesel::query_builder::BoxedSqlQuery;
use diesel::query_builder::SqlQuery;
use diesel::sql_types::BigInt;

/// Returns the statement `WITH given (columns) AS (VALUES …) rest`. The values that `rest` names
/// are bound next. `rows` is not empty, and at most `ROWS_PER_STATEMENT_MAX` long.
pub(super) fn given<const N: usize>(
    columns: &str,
    rows: impl IntoIterator<Item = [i64; N]>,
    rest: &str,
) -> BoxedSqlQuery<'static, Backend, SqlQuery> {
    let rows: Vec<_> = rows.into_iter().collect();
    let row = format!("({})", ["?"; N].join(", "));
    let values = vec![row; rows.len()].join(", ");
    let statement = format!("WITH given ({columns}) AS (VALUES {values}) {rest}");
    rows.into_iter()
        .flatten()
        .fold(diesel::sql_query(statement).into_boxed(), |query, value| query.bind::<BigInt, _>(value))
}
