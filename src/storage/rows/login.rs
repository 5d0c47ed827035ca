//! Rows of `sessions`: the logins of users.

use crate::domain::ids::UserId;
use crate::domain::login::LoginClient;
use crate::domain::timestamp::Timestamp;

/// Data of a login to be created.
#[derive(Debug)]
pub struct NewLogin<'a> {
    pub user: UserId,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub web_hash: Option<&'a [u8; 32]>,
    pub client: &'a LoginClient,
}
