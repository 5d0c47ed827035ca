//! The setup code: the only way to become the administrator of a server that has none, apart from
//! the operator's `netbit user add --admin`.
//!
//! A code is made at each start of a server without an active administrator, and exists in memory
//! only. It is valid until there is an administrator. The writer checks that in the transaction of
//! the registration: it compares the current mark of the administrators with the mark at the time
//! when the code was made. The mark grows with each administrator that is made, activated or
//! deactivated, and never shrinks.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::token::hash_of;
use crate::domain::user::User;

/// Random bytes of a code: 192 bits.
const RANDOM_BYTES: usize = 24;

/// See the [module](self).
#[derive(Clone)]
pub struct SetupCode {
    text: String,
    mark: i64,
}

impl SetupCode {
    /// Returns a code for a server with these users; `None` if one of them is an active
    /// administrator.
    pub fn for_server_of<'a>(users: impl Iterator<Item = &'a User>) -> Option<Self> {
        let mut mark = 0;
        for user in users.filter(|user| user.is_admin) {
            if user.active {
                return None;
            }
            mark += user.token_version + 1;
        }
        let bytes: [u8; RANDOM_BYTES] = rand::random();
        Some(Self { text: URL_SAFE_NO_PAD.encode(bytes), mark })
    }

    /// Returns the code, for the operator's terminal.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the mark of the administrators when the code was made, if `presented` is the code.
    /// The time of the check depends only on the length of `presented`.
    pub fn check(&self, presented: &str) -> Option<i64> {
        let (ours, theirs) = (hash_of(&self.text), hash_of(presented));
        let differing = ours.iter().zip(theirs).fold(0, |bits, (a, b)| bits | (a ^ b));
        (differing == 0).then_some(self.mark)
    }
}

impl std::fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetupCode").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UserId;
    use crate::domain::timestamp::Timestamp;

    fn user(is_admin: bool, active: bool) -> User {
        User {
            id: UserId(1),
            username: "alice".into(),
            display_name: "alice".into(),
            email: None,
            is_admin,
            token_version: 1,
            active,
            created_at: Timestamp(0),
            avatar: None,
        }
    }

    #[test]
    fn setup_code_exists_while_no_administrator_is_active() {
        for (users, exists) in [
            (vec![], true),
            (vec![user(false, true)], true),
            (vec![user(true, false), user(false, true)], true),
            (vec![user(true, false), user(true, true)], false),
        ] {
            assert_eq!(SetupCode::for_server_of(users.iter()).is_some(), exists, "{users:?}");
        }
    }

    #[test]
    fn setup_code_is_long_unique_and_compared_whole() {
        let codes: Vec<_> =
            (0..50).map(|_| SetupCode::for_server_of([user(true, false)].iter()).unwrap()).collect();
        let unique: std::collections::BTreeSet<_> = codes.iter().map(SetupCode::text).collect();
        assert_eq!(unique.len(), 50);
        let code = &codes[0];
        assert_eq!((code.text().len(), code.check(code.text())), (32, Some(2)));
        for wrong in ["", "x", &code.text()[..31], &format!("{} ", code.text()), codes[1].text()] {
            assert_eq!(code.check(wrong), None);
        }
        assert!(!format!("{code:?}").contains(code.text()));
    }
}
