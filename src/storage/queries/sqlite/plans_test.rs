//! Query plans: which index a statement uses.

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Synchronous;
    use crate::core::database;

    /// A page of a thread read every message of the chat from the thread's beginning.
    #[test]
    fn replies_of_a_page_are_found_by_their_index() {
        #[derive(QueryableByName)]
        struct Step {
            #[diesel(sql_type = Text)]
            detail: String,
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = database::open_writer(&path, Synchronous::Full).unwrap();
        database::migrate(&mut db, &path).unwrap();
        let query = replies(MessageId(1), 0, 9).order(messages::seq.desc()).limit(2);
        let query = query.select(MessageRow::as_select());
        let sql = diesel::debug_query::<Backend, _>(&query).to_string();
        let sql = sql.split(" -- binds").next().unwrap().to_owned();
        let mut plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}")).into_boxed::<Backend>();
        for _ in sql.matches('?') {
            plan = plan.bind::<BigInt, _>(1);
        }
        let steps: Vec<_> = plan.load::<Step>(&mut db).unwrap().into_iter().map(|step| step.detail).collect();
        let wanted = "SEARCH messages USING INDEX messages_by_thread (thread_id=? AND seq>? AND seq<?)";
        assert_eq!(steps, [wanted]);
    }
}
