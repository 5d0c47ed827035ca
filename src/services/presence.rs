//! Presence: looking at others, and speaking over UDP.

use std::sync::Arc;

use super::{ServiceError, Services};
use crate::actors::cache::PeopleSeen;
use crate::actors::presence::{DeviceKey, Ticket};
use crate::domain::access::Credential;
use crate::protocol::view::PresenceView;

/// A device id is text of at most so many bytes.
const DEVICE_BYTES_MAX: usize = 64;

/// A device as a client names it; `None`: the name is none.
pub fn parse_device(name: Option<String>, unnamed: DeviceKey) -> Option<DeviceKey> {
    match name {
        None => Some(unnamed),
        Some(name) if name.is_empty() || name.len() > DEVICE_BYTES_MAX => None,
        Some(name) if name.chars().any(char::is_control) => None,
        Some(name) => Some(DeviceKey::Named(name)),
    }
}

impl Services {
    /// Where the UDP socket is, as clients reach it.
    pub fn udp_address(&self) -> &Arc<str> {
        &self.udp_address
    }

    /// A ticket for the device, in use from now on.
    pub async fn issue_ticket(&self, who: Credential, device: DeviceKey) -> Result<Ticket, ServiceError> {
        self.rates.ticket(who.user)?;
        let ticket = Ticket::fresh();
        self.cache.issue_ticket(who, device, ticket).await?;
        Ok(ticket)
    }

    /// The ticket that a session asks for in its `Hello`. Beyond the rate there is none, and the session begins without.
    pub fn ticket_for_hello(&self, who: Credential) -> Option<Ticket> {
        self.rates.ticket(who.user).ok().map(|()| Ticket::fresh())
    }

    /// How these people are shown to `who`, in the order of their names.
    pub async fn look_at(
        &self,
        who: Credential,
        mut names: Vec<String>,
    ) -> Result<Vec<PresenceView>, ServiceError> {
        self.rates.lookup(who.user)?;
        let compared_max = self.limits.chats_compared;
        let mut users = Vec::with_capacity(names.len());
        while !names.is_empty() {
            let query = PeopleSeen { names: names.clone(), compared_max };
            let mut seen = self.cache.ask(who, query).await?;
            names.drain(..seen.len());
            users.append(&mut seen);
        }
        Ok(self.presence.look(who.user, users).await?)
    }
}
