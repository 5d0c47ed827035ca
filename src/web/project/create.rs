//! `/projects/new`: a new project in the visitor's namespace.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::path_of;
use crate::domain::project::Visibility;
use crate::http::error::HttpResult;
use crate::services::Services;
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Crumb, Shell, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "project/create.html")]
struct CreatePage {
    shell: Shell,
    problems: Problems,
    name_help: String,
    typed_name: String,
    description: String,
    is_public: bool,
}

impl CreatePage {
    fn new(request: &HttpRequest, visitor: &Visitor) -> Self {
        let username = visitor.user().map(|user| user.username.as_str()).unwrap_or_default();
        let shell = Shell::new(request, visitor, "New project").crumbs([Crumb::new("Projects", "/projects")]);
        Self {
            shell,
            problems: Problems::default(),
            name_help: format!(
                "Letters, digits, '.', '_' and '-'. The address of the project is /{username}/NAME."
            ),
            typed_name: String::new(),
            description: String::new(),
            is_public: false,
        }
    }
}

/// Returns the form.
pub(in crate::web) async fn show(visitor: Visitor, request: HttpRequest) -> HttpResult {
    visitor.required()?;
    layout::page(&request, &CreatePage::new(&request, &visitor)).await
}

#[derive(Deserialize)]
pub(in crate::web) struct CreateForm {
    name: String,
    #[serde(default)]
    description: String,
    visibility: Option<Visibility>,
}

/// Creates the project.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    form: Form<CreateForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let CreateForm { name, description, visibility } = form.0;
    let visibility = visibility.unwrap_or(Visibility::Private);
    match services.create_project(who, name.trim(), &description, visibility).await {
        Ok(view) => Ok(see_other(&path_of(&view))),
        Err(error) => {
            let (problems, is_public) = (Problems::of(error)?, visibility == Visibility::Public);
            let status = problems.status();
            let empty = CreatePage::new(&request, &visitor);
            let page = CreatePage { problems, typed_name: name, description, is_public, ..empty };
            layout::page_of(&request, status, &page).await
        }
    }
}
