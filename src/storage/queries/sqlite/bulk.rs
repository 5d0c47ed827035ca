//! Statements with SQL of SQLite only.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::{Backend, Db, chats};
use crate::storage::rows::chat::ChatHead;
use crate::storage::rows::message::NewMessageRow;

/// Number of rows that one statement of [`insert_new`] inserts; a larger number is not faster.
const ROWS_AT_ONCE: usize = 16;

/// Inserts messages whose client ids are known to be new, with as few statements as possible, and
/// moves the heads of chats.
///
/// After a failure some of the rows are inserted (`OR FAIL`: a statement that undoes nothing keeps
/// no statement journal). The transaction must then be rolled back.
pub fn insert_new(db: &mut Db, rows: &[NewMessageRow<'_>], heads: &[ChatHead]) -> QueryResult<()> {
    let (many, rest) = rows.as_chunks::<ROWS_AT_ONCE>();
    for rows in many {
        InsertRows(rows).execute(db)?;
    }
    for row in rest {
        InsertRows(std::array::from_ref(row)).execute(db)?;
    }
    heads.iter().try_for_each(|head| chats::set_head(db, head))
}

/// The same statement for any `N` rows, prepared once.
struct InsertRows<'a, const N: usize>(&'a [NewMessageRow<'a>; N]);

impl<const N: usize> QueryId for InsertRows<'_, N> {
    type QueryId = InsertRows<'static, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const N: usize> QueryFragment<Backend> for InsertRows<'_, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql(
            "INSERT OR FAIL INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, reply_to, \
             metadata, created_at, updated_seq, thread_id, files) VALUES ",
        );
        for (n, row) in self.0.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            for number in [&row.id.0, &row.chat_id.0, &row.seq, &row.ordinal, &row.sender_id.0] {
                out.push_bind_param::<BigInt, _>(number)?;
                out.push_sql(", ");
            }
            out.push_bind_param::<Binary, _>(&row.client_id)?;
            out.push_sql(", ");
            out.push_bind_param::<Binary, _>(&row.request_hash)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&row.content)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&row.reply_to)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&row.metadata)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&row.created_at)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&row.updated_seq)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&row.thread_id)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&row.files)?;
            out.push_sql(")");
        }
        Ok(())
    }
}

impl<const N: usize> RunQueryDsl<Db> for InsertRows<'_, N> {}
