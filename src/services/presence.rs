//! Presence: queries the presence of others, and issues the tickets for UDP.

use std::sync::Arc;

use super::{ServiceError, Services};
use crate::actors::cache::PeopleSeen;
use crate::actors::presence::Ticket;
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::protocol::view::PresenceView;

impl Services {
    /// Returns the address under which clients reach the UDP socket.
    pub fn udp_address(&self) -> &Arc<str> {
        &self.udp_address
    }

    /// Issues a ticket for the device, valid from now on.
    pub async fn issue_ticket(&self, who: Credential, device: DeviceKey) -> Result<Ticket, ServiceError> {
        self.rates.ticket(who.user)?;
        let ticket = Ticket::fresh();
        self.cache.issue_ticket(who, device, ticket).await?;
        Ok(ticket)
    }

    /// Returns a ticket for a session whose `Hello` requests one. Beyond the rate limit the session
    /// starts without a ticket.
    pub fn ticket_for_hello(&self, who: Credential) -> Option<Ticket> {
        self.rates.ticket(who.user).ok().map(|()| Ticket::fresh())
    }

    /// Returns the presence of these users as `who` may see it, in the order of `names`.
    pub async fn presence_of(
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
        Ok(self.presence.query(who.user, users).await?)
    }
}
