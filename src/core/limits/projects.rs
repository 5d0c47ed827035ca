//! Limits of projects and personal access tokens.

macro_rules! add_limits { ($later:tt $($limits:tt)*) => { rooms! { $later $($limits)*
    /// Projects under one user's name.
    projects_per_user: i64 = 1_000,
    /// Repositories of one project. All of them are marked in one command when it is deleted.
    repositories_per_project: i64 = 400,
    /// Former names of the projects of one user, or of the repositories of one project.
    former_names: i64 = 1_000,
    /// Personal access tokens of one user.
    access_tokens_per_user: i64 = 100,
    /// Repositories that one token is restricted to.
    access_token_repositories: usize = 50,
}}}
pub(super) use add_limits;
