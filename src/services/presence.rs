//! Presence: queries the presence of others, and issues the tickets for UDP.

use std::sync::Arc;

use super::{ServiceError, Services};
use crate::actors::cache::{MembersAmong, PeopleSeen, RepositoryView};
use crate::actors::presence::{Place, Ticket};
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;
use crate::protocol::view::PresenceView;

/// Maximum size of the name of a place, in bytes: a path and its view.
const PLACE_BYTES_MAX: usize = 4200;

impl Services {
    /// Shows the caller at a place of a repository for a minute, or no longer (`stays: false`).
    /// Returns the other users there.
    ///
    /// Members only: they share the channel of the project, and only users who share a chat see
    /// each other.
    pub async fn visit(
        &self,
        who: Credential,
        view: &RepositoryView,
        place: &str,
        stays: bool,
    ) -> Result<Vec<UserId>, ServiceError> {
        self.rates.lookup(who.user)?;
        if view.role.is_none() {
            return Err(Refusal::Forbidden("only members of the project see who is here").into());
        }
        if !(1..=PLACE_BYTES_MAX).contains(&place.len()) {
            return Err(Refusal::invalid("place", "must have 1 to 4200 bytes").into());
        }
        let place = Place::of(view.repository.id, place);
        let others = self.presence.visit(who.user, place, stays).await?;
        if others.is_empty() {
            return Ok(others);
        }
        // A place outlasts a membership.
        Ok(self.cache.ask(who, MembersAmong { project: view.project.id, users: others }).await?)
    }

    /// Returns the address under which clients reach the UDP socket.
    pub fn udp_address(&self) -> &Arc<str> {
        &self.udp_address
    }

    /// Issues a ticket for the device, valid from now on.
    pub async fn issue_ticket(&self, who: Credential, device: DeviceKey) -> Result<Ticket, ServiceError> {
        self.rates.ticket(who.user)?;
        let ticket = Ticket::fresh_at(self.node);
        self.cache.issue_ticket(who, device, ticket).await?;
        Ok(ticket)
    }

    /// Returns a ticket for a session whose `Hello` requests one. Beyond the rate limit the session
    /// starts without a ticket.
    pub fn ticket_for_hello(&self, who: Credential) -> Option<Ticket> {
        self.rates.ticket(who.user).ok().map(|()| Ticket::fresh_at(self.node))
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
