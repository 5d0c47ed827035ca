//! Routes of presence, and of the tickets for UDP.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use crate::domain::device::DeviceKey;
use crate::domain::refusal::Refusal;
use crate::http::address::reachable;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{AuthenticatedUser, Body, Query};
use crate::protocol::view::PresenceView;
use crate::services::{ServiceError, Services};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PresenceQuery {
    users: String,
}

/// Returns the presence of users; users without a shared chat appear as offline.
#[utoipa::path(get, operation_id = "list_presence", path = "/api/presence", params(("users" = String, Query, description = "user names, separated by commas")),
    responses((status = 200, body = page::Items<PresenceView>), (status = 400), (status = 401), (status = 404), (status = 429)))]
pub(super) async fn look(
    caller: AuthenticatedUser,
    query: Query<PresenceQuery>,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let names: Vec<_> = query.0.users.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.is_empty() || names.len() > services.limits.page_max {
        let max = services.limits.page_max;
        return Err(HttpError::bad_request(format!("users must be 1 to {max} names")));
    }
    let users = services.presence_of(caller.0, names).await?;
    page::items(&request, users, None)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TicketBody {
    /// The device that the ticket belongs to; absent: a new device.
    device_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TicketAnswer {
    /// A 64-bit number in decimal.
    connection_id: String,
    /// The key with which the client seals packets: standard base64 of 32 bytes.
    key_up: String,
    /// The key with which the server seals packets.
    key_down: String,
    /// Seconds.
    expires_in: u64,
    /// `host:port` of the UDP socket.
    address: String,
}

/// Issues a ticket for presence and typing over UDP.
///
/// It becomes invalid with the login.
#[utoipa::path(post, operation_id = "issue_udp_ticket", path = "/api/udp/ticket", request_body = TicketBody,
    responses((status = 201, body = TicketAnswer), (status = 401), (status = 403), (status = 422)))]
pub(super) async fn issue_ticket(
    caller: AuthenticatedUser,
    body: Body<TicketBody>,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let device = DeviceKey::parse(body.0.device_id, DeviceKey::Ticket(rand::random()));
    let device = device.map_err(|reason| Refusal::Invalid { field: "device_id", reason });
    let device = device.map_err(ServiceError::from)?;
    let ticket = services.issue_ticket(caller.0, device).await?;
    Ok(HttpResponse::Created().json_line(TicketAnswer {
        connection_id: ticket.connection_id.to_string(),
        key_up: STANDARD.encode(ticket.key_up),
        key_down: STANDARD.encode(ticket.key_down),
        expires_in: services.limits.udp_ticket_seconds,
        address: reachable(&request, services.udp_address()),
    }))
}
