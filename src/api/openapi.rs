//! The OpenAPI 3.1 document, generated from the handlers.
//!
//! Facts common to all routes are defined here once: required credentials, and the problems that
//! any request can get.

use std::sync::{Arc, OnceLock};

use actix_web::{HttpResponse, web};
use utoipa::openapi::schema::{ArrayItems, SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, KnownFormat, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema, SchemaFormat,
    Server,
};
use utoipa::{Modify, OpenApi};

use super::{
    admin, avatar, browse, chat, file, file_thumbnail, history, login, message, message_update, notification,
    people, presence, project, repo, search, server, talk, thread, token, user,
};
use crate::http::error::Problem;
use crate::http::pieces::Pieces;

/// Responses of any route, in addition to those that the route declares.
const COMMON: [(&str, &str); 9] = [
    ("400", "The path, the query or the JSON is not valid."),
    ("404", "The resource does not exist, or the caller may not see it."),
    ("408", "The body did not arrive in time."),
    ("413", "The body is larger than 64 KiB, or a text in it exceeds its limit."),
    ("415", "The content type is not application/json."),
    ("422", "A field has the wrong type or an invalid value; `errors` names each field."),
    ("429", "Too many requests. `Retry-After` contains the time to wait."),
    ("503", "The server is overloaded. `Retry-After` contains the time to wait."),
    ("507", "The disk is full: nothing was written, reads still work."),
];
/// Additional responses of routes that require credentials.
const MEMBERS: [(&str, &str); 2] = [
    ("401", "The token is missing or no longer valid."),
    ("403", "The caller may see the resource, but may not do this."),
];
/// Descriptions of successes.
const SUCCESSES: [(&str, &str); 9] = [
    ("200", "Success; the body holds the result."),
    ("201", "Created."),
    ("202", "A part of the file has arrived; `offset` is where the next part begins."),
    ("204", "Success, without a body."),
    ("206", "The requested part."),
    ("304", "Unchanged since the `ETag` in the request."),
    ("308", "The resource was renamed; `Location` holds its new path."),
    ("416", "The file ends before the requested range."),
    ("409", "The name is taken, or the change would break a rule; `detail` names the rule."),
];
/// Examples of properties and parameters, by name.
const EXAMPLES: [(&str, &str); 68] = [
    ("Idempotency-Key", r#""0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f""#),
    ("actor_id", r#"1"#),
    ("added_by", r#""mallory""#),
    ("after_seq", r#"0"#),
    ("at", r#""2026-11-24T09:00:00.000Z""#),
    ("base", r#""main""#),
    ("before_seq", r#"100"#),
    ("channel_id", r#"7"#),
    ("chat_id", r#"7"#),
    ("client_id", r#""0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f""#),
    ("clone_url", r#""http://127.0.0.1:8080/alice/website/site.git""#),
    ("content", r#""Hello @bob""#),
    ("created_at", r#""2026-11-24T09:00:00.000Z""#),
    ("current_password", r#""correct horse""#),
    ("cursor", r#""50""#),
    ("default_branch", r#""main""#),
    ("description", r#""Our website""#),
    ("detail", r#""chat not found""#),
    ("display_name", r#""Alice""#),
    ("excerpt", r#""the disk is full""#),
    ("edited_at", r#""2026-11-24T09:01:00.000Z""#),
    ("email", r#""alice@example.org""#),
    ("emoji", r#""👍""#),
    ("expires_at", r#""2027-11-24T09:00:00.000Z""#),
    ("expires_in", r#"900"#),
    ("expires_in_days", r#"90"#),
    ("head", r#""feature""#),
    ("id", r#"1"#),
    ("last_used_at", r#""2026-11-24T09:01:00.000Z""#),
    ("left", r#"12"#),
    ("limit", r#"50"#),
    ("message_id", r#"3"#),
    ("more", r#"false"#),
    ("metadata", r#"{"ticket":42}"#),
    ("new_password", r#""battery staple""#),
    ("oid", r#""8d8f1fb2a0b3f2a9d6a3d6c5a1e0f9b8c7d6e5f4""#),
    ("owner", r#""alice""#),
    ("participants", r#"["bob"]"#),
    ("password", r#""correct horse""#),
    ("path", r#""src/main.rs""#),
    ("project", r#""website""#),
    ("project_id", r#"2"#),
    ("q", r#""disk full from:alice""#),
    ("read_at", r#""2026-11-24T09:01:00.000Z""#),
    ("ref", r#""main""#),
    ("refresh_token", r#""q83vEjRWeJ…""#),
    ("registration", r#""open""#),
    ("reply_to", r#"3"#),
    ("repo", r#""site""#),
    ("repositories", r#"["alice/website/site"]"#),
    ("repository", r#""alice/website/site""#),
    ("request_id", r#""0190b6d2-7d3e-7c1a-9d2f-1a2b3c4d5e6f""#),
    ("scopes", r#"["repo:read"]"#),
    ("sender_id", r#"1"#),
    ("seq", r#"12"#),
    ("status", r#"404"#),
    ("tcp_address", r#""127.0.0.1:8081""#),
    ("thread_id", r#"3"#),
    ("title", r#""Not found""#),
    ("token", r#""eyJhbGciOi…""#),
    ("token_type", r#""Bearer""#),
    ("udp_address", r#""127.0.0.1:8082""#),
    ("user", r#""alice""#),
    ("user_id", r#"1"#),
    ("username", r#""alice""#),
    ("users", r#""alice,bob""#),
    ("version", r#""0.1.0""#),
    ("visibility", r#""private""#),
];
/// Routes that require no login.
const PUBLIC: [&str; 4] = ["/api/server", "/api/users/register", "/api/users/login", "/api/users/refresh"];
/// The first segments of paths after `/api/`, with the tags under which they are listed.
const TAGS: [(&str, &str); 12] = [
    ("server", "Server"),
    ("users", "Accounts"),
    ("admin", "Administration"),
    ("chats", "Chats"),
    ("files", "Chats"),
    ("notifications", "Notifications"),
    ("search", "Search"),
    ("presence", "Realtime"),
    ("udp", "Realtime"),
    ("projects", "Projects"),
    ("repos", "Legacy"),
    ("openapi.json", "Server"),
];

#[derive(OpenApi)]
#[openapi(
    info(title = "NetBit", description = "Git hosting and chat for a team. Times are RFC 3339, UTC; errors are RFC 9457 problems; lists page by `cursor`."),
    paths(
        server::info,
        user::by_name,
        user::change_password,
        user::login,
        user::logout,
        user::me,
        user::refresh,
        user::register,
        user::update_me,
        login::end,
        login::list,
        people::block,
        people::blocks,
        people::leave_chats,
        people::unblock,
        people::users,
        token::create,
        token::list,
        token::revoke,
        admin::audit,
        admin::health,
        admin::take_over_chat,
        admin::take_over_project,
        admin::update_user,
        admin::users,
        chat::create,
        chat::delete,
        chat::hide,
        chat::mark_all_read,
        chat::mark_unread,
        chat::show,
        chat::get,
        chat::list,
        chat::mark_read,
        chat::participants,
        chat::put_participant,
        chat::remove_participant,
        chat::set_notify_level,
        chat::update,
        avatar::of_chat,
        avatar::of_project,
        avatar::of_user,
        avatar::remove_of_chat,
        avatar::remove_of_project,
        avatar::remove_own,
        avatar::set_of_chat,
        avatar::set_of_project,
        avatar::set_own,
        file::create,
        file::delete,
        file::get,
        file_thumbnail::get,
        file::upload,
        file::upload_state,
        message::events,
        message::list,
        message::post,
        message::seq_at,
        message_update::delete,
        message_update::edit,
        message_update::follow,
        message_update::mute,
        message_update::pin,
        message_update::react,
        message_update::unpin,
        message_update::unreact,
        thread::list,
        notification::list,
        notification::mark_all_read,
        notification::mark_read,
        presence::issue_ticket,
        presence::look,
        presence::visit,
        project::config,
        project::create,
        project::delete,
        project::get,
        project::list,
        project::members,
        project::put_config,
        project::put_member,
        project::remove_member,
        project::unwatch,
        project::update,
        project::watch,
        repo::create,
        repo::delete,
        repo::get,
        repo::legacy_create,
        repo::legacy_list,
        repo::list,
        repo::update,
        browse::archive_tar_gz,
        browse::archive_zip,
        browse::blob,
        browse::branches,
        browse::files,
        browse::raw,
        browse::tags,
        talk::list,
        search::search,
        browse::tree,
        browse::tree_of_default_branch,
        browse::tree_of_ref,
        history::blame,
        history::commit,
        history::commits,
        history::compare,
    ),
    components(schemas(Problem)),
    modifiers(&Common)
)]
struct Description;

struct Common;

impl Modify for Common {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The `token` of a login, or a personal access token."))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        for schema in components.schemas.values_mut() {
            give_examples(schema);
        }
        // The server that served the document.
        api.servers = Some(vec![Server::new("/")]);
        for (path, item) in &mut api.paths.paths {
            let first = path.trim_start_matches("/api/").split('/').next().unwrap_or_default();
            let tag = TAGS.iter().find(|(segment, _)| *segment == first).map(|(_, tag)| (*tag).to_owned());
            let is_public = PUBLIC.contains(&path.as_str());
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                operation.tags = tag.clone().map(|tag| vec![tag]);
                let token = SecurityRequirement::new("bearer", Vec::<String>::new());
                // An empty requirement declares that the route needs no token.
                operation.security =
                    Some(vec![if is_public { SecurityRequirement::default() } else { token }]);
                for parameter in operation.parameters.iter_mut().flatten() {
                    let RefOr::T(parameter) = parameter else { continue };
                    if let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema {
                        schema.example = example_of(&parameter.name, &schema.schema_type);
                    }
                }
                let responses = &mut operation.responses.responses;
                let for_members = MEMBERS.into_iter().filter(|_| !is_public);
                for (status, description) in COMMON.into_iter().chain(for_members) {
                    responses.entry(status.to_owned()).or_insert_with(|| problem(description).into());
                }
                for (status, response) in responses {
                    let RefOr::T(response) = response else { continue };
                    if response.description.is_empty() {
                        response.description = description_of(status);
                    }
                    if status.starts_with(['4', '5']) {
                        *response = problem(&response.description);
                    }
                    for (kind, content) in &mut response.content {
                        if let (false, RefOr::T(content)) = (kind.ends_with("json"), content) {
                            content.schema = Some(bytes());
                        }
                    }
                }
            }
        }
    }
}

/// Returns the description of a status that the route does not describe.
fn description_of(status: &str) -> String {
    let known = COMMON.into_iter().chain(MEMBERS).chain(SUCCESSES).find(|(known, _)| *known == status);
    known.map_or_else(|| format!("HTTP status {status}."), |(_, description)| description.to_owned())
}

/// Returns the schema of a body that is a file.
fn bytes() -> RefOr<Schema> {
    let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
    ObjectBuilder::new().schema_type(Type::String).format(Some(format)).build().into()
}

/// Returns the example of a name if it fits the type: some names have different types in different
/// places.
fn example_of(name: &str, kind: &SchemaType) -> Option<serde_json::Value> {
    let (_, text) = EXAMPLES.iter().find(|(known, _)| *known == name)?;
    let example: serde_json::Value = serde_json::from_str(text).ok()?;
    let fits = |kind: &Type| match kind {
        Type::String => example.is_string(),
        Type::Integer | Type::Number => example.is_number(),
        Type::Array => example.is_array(),
        Type::Object => example.is_object(),
        Type::Boolean | Type::Null => false,
    };
    let allowed = match kind {
        SchemaType::Type(one) => fits(one),
        SchemaType::Array(some) => some.iter().any(fits),
        SchemaType::AnyValue => true,
    };
    allowed.then_some(example)
}

/// Sets the example of every property of a schema.
fn give_examples(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            for (name, property) in &mut object.properties {
                match property {
                    RefOr::T(Schema::Object(property)) => {
                        property.example = example_of(name, &property.schema_type)
                    }
                    // All examples of arrays are arrays of texts.
                    RefOr::T(Schema::Array(property)) if !is_of_objects(&property.items) => {
                        property.example = example_of(name, &SchemaType::Type(Type::Array));
                    }
                    _ => {}
                }
            }
        }
        Schema::AllOf(all) => all.items.iter_mut().for_each(give_examples),
        _ => {}
    }
}

fn is_of_objects(items: &ArrayItems) -> bool {
    match items {
        ArrayItems::RefOrSchema(items) => match &**items {
            RefOr::Ref(_) => true,
            RefOr::T(Schema::Object(object)) => !object.properties.is_empty(),
            RefOr::T(_) => false,
        },
        ArrayItems::False => false,
    }
}

/// Returns the description of an error response.
fn problem(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

/// Builds the whole OpenAPI document.
pub fn describe() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// Returns the OpenAPI document as JSON.
pub(super) async fn json(text: web::Data<DescriptionText>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(Pieces::shared(text.bytes()))
}

/// The document of [`describe`] as JSON, built at the first request: building it takes some
/// megabytes for a short time.
#[derive(Clone, Default)]
pub struct DescriptionText(Arc<OnceLock<web::Bytes>>);

impl DescriptionText {
    fn bytes(&self) -> web::Bytes {
        self.0.get_or_init(|| serde_json::to_vec(&describe()).unwrap_or_default().into()).clone()
    }
}
