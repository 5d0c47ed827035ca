//! `/{user}/{project}/{repo}/-/go`: leads from the form with a ref name to the page of that ref.

use actix_web::{HttpRequest, web};
use serde::Deserialize;

use super::frame::{base_of, href, in_repository, name_in_address};
use super::missing;
use crate::http::address::path_encoded;
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::services::Services;
use crate::services::access::RepositoryPath;
use crate::web::layout::see_other;
use crate::web::visitor::Visitor;

/// The views that show a ref; the first is the default.
const VIEWS: [&str; 5] = ["tree", "blob", "blame", "commits", "find"];

#[derive(Deserialize)]
pub(in crate::web) struct GoQuery {
    #[serde(rename = "ref")]
    reference: String,
    #[serde(default)]
    view: String,
    #[serde(default)]
    path: String,
}

/// Redirects to a view of the ref. A name that is not a ref is not found.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    query: Query<GoQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    in_repository(&visitor, &request, &at.0, &services, async |view| {
        let GoQuery { reference, view: wanted, path } = query.0;
        let name = reference.trim();
        let commit = match services.resolve(&view, Some(name.to_owned())).await {
            Ok(commit) => commit,
            Err(error) => {
                return missing::of_ref((&visitor, &request, &**services), &view, name, error).await;
            }
        };
        let wanted = VIEWS.into_iter().find(|view| *view == wanted).unwrap_or("tree");
        Ok(see_other(&href(&base_of(&view), wanted, &path_encoded(name_in_address(&commit)), &path)))
    })
    .await
}
