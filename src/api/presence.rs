//! Routes of presence, and of the tickets for UDP.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use super::repo;
use crate::domain::device::DeviceKey;
use crate::domain::ids::UserId;
use crate::domain::permission::project::Act;
use crate::domain::refusal::Refusal;
use crate::http::address::reachable;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{AuthenticatedUser, Body, Path, Query};
use crate::protocol::view::PresenceView;
use crate::services::access::RepositoryPath;
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
pub(super) struct VisitBody {
    /// The page, such as `src/main.rs` or `main...feature`: 1 to 4200 bytes. Pages with equal names
    /// are one place.
    place: String,
    /// `false`: the caller leaves the place.
    #[serde(default = "stays")]
    stays: bool,
}

fn stays() -> bool {
    true
}

/// A user at a place.
#[derive(Serialize, ToSchema)]
pub(super) struct PlaceVisitor {
    #[schema(value_type = i64)]
    user_id: UserId,
}

/// Shows the caller at a page of a repository for 60 seconds, and returns the other users there.
///
/// For members of the project. Nothing is stored. A user has at most 4 places; an invisible user is
/// not shown.
#[utoipa::path(post, operation_id = "visit_place", path = "/api/projects/{user}/{project}/repos/{repo}/visitors",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path)), request_body = VisitBody,
    responses((status = 200, body = page::Items<PlaceVisitor>), (status = 308), (status = 401), (status = 403), (status = 404), (status = 422), (status = 429)))]
pub(super) async fn visit(
    caller: AuthenticatedUser,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    body: Body<VisitBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.repository(Some(caller.0), &at.0, Act::Read).await?;
    if let Some(answer) = repo::moved(&request, &view) {
        return Ok(answer);
    }
    let others = services.visit(caller.0, &view, &body.0.place, body.0.stays).await?;
    let items = others.into_iter().map(|user_id| PlaceVisitor { user_id }).collect();
    Ok(HttpResponse::Ok().json_line(page::Items { items, next: None }))
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
