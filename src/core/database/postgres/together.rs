//! Statements that are sent together.

use diesel::QueryResult;
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_executor::block_on;
use futures_util::future::join;
use tokio::task::unconstrained;

use super::Postgres;

impl Postgres {
    /// Executes SQL without results, then a query: both are sent at once, so they cost one round
    /// trip. The server executes the query even if it refuses the SQL.
    ///
    /// # Errors
    /// The first error of the two.
    pub fn execute_and_load<'q, Q, T>(&'q mut self, sql: &'q str, query: Q) -> QueryResult<Vec<T>>
    where
        Q: LoadQuery<'q, &'q AsyncPgConnection, T> + 'q,
        T: Send + 'q,
    {
        let connection: &AsyncPgConnection = &self.queries;
        let _waiting = self.watch.begin();
        let (mut first, mut second) = (connection, connection);
        let both = join(first.batch_execute(sql), query.load(&mut second));
        let (executed, loaded) = block_on(unconstrained(both));
        executed?;
        loaded
    }
}
