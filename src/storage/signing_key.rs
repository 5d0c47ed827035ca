//! The key that signs access tokens, on PostgreSQL: that of `auth.secret`, or else the one that the
//! first node has stored.
//!
//! All nodes must have the same key. The database has its *fingerprint*, from which the key cannot
//! be computed: the first node writes it, and the others compare theirs.

use diesel::prelude::*;
use diesel::sql_types::Text;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::core::database::Postgres;

/// The key, unless all nodes have one by `auth.secret`.
const KEY: &str = "signing";
/// See the [module](self).
const FINGERPRINT: &str = "fingerprint";
/// Separates the fingerprint from keys that are derived from the same one.
const CONTEXT: &[u8] = b"netbit fingerprint of the signing key, version 1\0";

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    value: String,
}

fn stored(db: &mut Postgres, name: &str) -> QueryResult<Option<String>> {
    let value = diesel::sql_query("SELECT value FROM secrets WHERE name = $1").bind::<Text, _>(name);
    Ok(value.get_result::<Value>(&mut db.queries).optional()?.map(|stored| stored.value))
}

/// Stores a value unless there is one. Returns the stored one.
fn store_first(db: &mut Postgres, name: &str, proposed: &str) -> QueryResult<String> {
    diesel::sql_query("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind::<Text, _>(name)
        .bind::<Text, _>(proposed)
        .execute(&mut db.queries)?;
    stored(db, name)?.ok_or(diesel::result::Error::NotFound)
}

/// Returns the key, unless all nodes have one by `auth.secret`.
pub fn of_database(db: &mut Postgres) -> QueryResult<Option<String>> {
    stored(db, KEY)
}

/// Returns the key of a node without `auth.secret`. The first node stores `proposed`.
pub fn of_node(db: &mut Postgres, proposed: &str) -> QueryResult<String> {
    store_first(db, KEY, proposed)
}

/// Returns whether the database has the fingerprint of this key, or none.
pub fn fits(db: &mut Postgres, key: &[u8]) -> QueryResult<bool> {
    Ok(stored(db, FINGERPRINT)?.is_none_or(|stored| stored == fingerprint(key)))
}

/// Writes the fingerprint of this key unless there is one. Returns whether the key has the stored
/// one.
pub fn record(db: &mut Postgres, key: &[u8]) -> QueryResult<bool> {
    let fingerprint = fingerprint(key);
    Ok(store_first(db, FINGERPRINT, &fingerprint)? == fingerprint)
}

/// Replaces the fingerprint by that of this key. No other node runs.
pub fn replace(db: &mut Postgres, key: &[u8]) -> QueryResult<()> {
    diesel::sql_query("UPDATE secrets SET value = $2 WHERE name = $1")
        .bind::<Text, _>(FINGERPRINT)
        .bind::<Text, _>(fingerprint(key))
        .execute(&mut db.queries)
        .map(drop)
}

fn fingerprint(key: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 3)")]
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    let code = mac.chain_update(CONTEXT).finalize().into_bytes();
    code.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_depends_on_the_key_and_does_not_contain_it() {
        let key = "0123456789abcdef0123456789abcdef";
        let code = fingerprint(key.as_bytes());
        assert_eq!(code.len(), 64);
        assert_eq!(code, fingerprint(key.as_bytes()));
        assert_ne!(code, fingerprint(b"0123456789abcdef0123456789abcdeg"));
        assert!(!code.contains(key));
    }
}
