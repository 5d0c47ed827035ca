//! Routes of notifications.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::page;
use crate::domain::ids::NotificationId;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Path, Query};
use crate::protocol::view::NotificationView;
use crate::services::Services;

#[derive(Deserialize)]
pub(super) struct ListQuery {
    #[serde(default)]
    unread: bool,
    limit: Option<i64>,
    cursor: Option<i64>,
}

/// Lists the caller's notifications, newest first.
#[utoipa::path(get, operation_id = "list_notifications", path = "/api/notifications",
    params(("unread" = Option<bool>, Query), ("limit" = Option<i64>, Query), ("cursor" = Option<i64>, Query)),
    responses((status = 200, body = page::Items<NotificationView>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: AuthenticatedUser,
    request: HttpRequest,
    query: Query<ListQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let limit = page::limit(query.0.limit, &services.limits)?;
    let before = query.0.cursor.map(NotificationId);
    let found = services.notifications(caller.0, before, query.0.unread, limit).await?;
    let next = found.next_cursor(|last| last.id.to_string());
    page::items(&request, found.items.iter().map(|item| NotificationView::from(&**item)).collect(), next)
}

/// Marks a notification as read.
#[utoipa::path(post, operation_id = "mark_notification_read", path = "/api/notifications/{id}/read", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn mark_read(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    services.mark_notifications_read(caller.0, Some(NotificationId(id.0))).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Marks all notifications as read.
#[utoipa::path(post, operation_id = "mark_all_notifications_read", path = "/api/notifications/read", responses((status = 204), (status = 401), (status = 403)))]
pub(super) async fn mark_all_read(caller: AuthenticatedUser, services: web::Data<Services>) -> HttpResult {
    services.mark_notifications_read(caller.0, None).await?;
    Ok(HttpResponse::NoContent().finish())
}
