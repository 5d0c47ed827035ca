//! Statements over many rows that the caller gives, as a table of values.

use std::collections::HashSet;

use diesel::query_builder::SqlQuery;

use crate::core::limits::ROWS_PER_STATEMENT_MAX;

/// Returns the statement `WITH given (columns) AS (VALUES …) rest`. The values are literals, so the
/// placeholders of `rest` begin with `$1`.
///
/// `rows` is not empty, and at most `ROWS_PER_STATEMENT_MAX` long. No two rows are equal. If `rest`
/// is an UPDATE, the first column is its key, and no two rows have the same: the database would
/// apply any of them.
pub(super) fn given<const N: usize>(
    columns: &str,
    rows: impl IntoIterator<Item = [i64; N]>,
    rest: &str,
) -> SqlQuery {
    let rows: Vec<_> = rows.into_iter().collect();
    debug_assert!((1..=ROWS_PER_STATEMENT_MAX).contains(&rows.len()), "{} rows", rows.len());
    debug_assert!(are_distinct(&rows, if rest.starts_with("UPDATE") { 1 } else { N }), "equal keys: {rest}");
    let values = rows.iter().enumerate().map(|(n, row)| {
        // The first row determines the types of the columns.
        let value = |value: &i64| if n == 0 { format!("CAST({value} AS BIGINT)") } else { value.to_string() };
        format!("({})", row.iter().map(value).collect::<Vec<_>>().join(", "))
    });
    let values = values.collect::<Vec<_>>().join(", ");
    diesel::sql_query(format!("WITH given ({columns}) AS (VALUES {values}) {rest}"))
}

/// Returns whether no two rows have the same first columns.
fn are_distinct<const N: usize>(rows: &[[i64; N]], key_columns: usize) -> bool {
    let keys: HashSet<_> = rows.iter().filter_map(|row| row.get(..key_columns)).collect();
    keys.len() == rows.len()
}
