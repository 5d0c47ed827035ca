//! Blames: the commits that last changed the lines of a file.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::blamed_lines::BlamedLines;
use super::{RepositoryView, ServiceError, Services};
use crate::git::blame::{self, BlameRange};
use crate::git::browse::{Blob, Oid, path_text};
use crate::git::run_child;
use crate::protocol::code::Code;

/// Maximum number of bytes that git outputs for a blame: the file (at most
/// `BrowseLimits::blob_bytes`) and each commit once, whose summary is short. Each running blame
/// holds this in memory.
const BLAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The requested part of a blame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BlamePart {
    /// The first line, counted from 1; `None`: the first line of the file.
    pub from: Option<usize>,
    /// The last line; `None`: as many lines as fit.
    pub to: Option<usize>,
    /// Whether the commits that `.git-blame-ignore-revs` names are skipped.
    pub ignore_revisions: bool,
}

/// The commits that last changed the lines of a file.
#[derive(Debug, Serialize, ToSchema)]
pub struct Blame {
    pub commit_oid: Oid,
    /// The object id of the file.
    pub oid: Oid,
    pub path: String,
    /// First and last line that `ranges` covers, counted from 1; both are 0 for an empty file.
    pub lines_from: usize,
    pub lines_to: usize,
    /// The number of lines in the whole file.
    pub line_count: usize,
    pub ranges: Vec<BlameRange>,
    /// The number of commits that the blame skips, because `.git-blame-ignore-revs` names them. 0
    /// without `ignore_revs=true`, and if that file has more than 64 KiB or 1,000 ids.
    pub ignored_revisions: usize,
    /// Whether the request covers more lines than one response may hold.
    pub truncated: bool,
}

impl Services {
    /// Returns the blame of a part of a file.
    pub async fn blame(
        &self,
        view: &RepositoryView,
        commit: Oid,
        path: String,
        part: BlamePart,
    ) -> Result<Blame, ServiceError> {
        // git runs only for an existing text file that has these lines.
        let blob = self.blob(view, commit, path).await?;
        let text = match blob {
            Blob { truncated: true, .. } => Err(ServiceError::new(
                Code::TooLarge,
                "the file is too large to be blamed; clone the repository",
            )),
            Blob { content: None, .. } => Err(ServiceError::new(Code::BadRequest, "the file is binary")),
            Blob { content: Some(text), oid, path, .. } => Ok((text, oid, path)),
        };
        let (text, oid, path) = text?;
        let line_count = text.split_inclusive('\n').count();
        drop(text);
        let lines = BlamedLines::parse(part.from, part.to, line_count)?;
        let ignored = if part.ignore_revisions {
            self.ask_browser(view, move |browser| browser.ignored_revisions(commit)).await?
        } else {
            Vec::new()
        };
        let ranges = match line_count {
            0 => Vec::new(),
            _ => self.blamed(view, (commit, &path), (lines.first, lines.last), &ignored).await?,
        };
        Ok(Blame {
            commit_oid: commit,
            oid,
            path,
            lines_from: lines.first,
            lines_to: lines.last,
            line_count,
            ranges,
            ignored_revisions: ignored.len(),
            truncated: lines.truncated,
        })
    }

    async fn blamed(
        &self,
        view: &RepositoryView,
        (commit, path): (Oid, &str),
        lines: (usize, usize),
        ignored: &[Oid],
    ) -> Result<Vec<BlameRange>, ServiceError> {
        let git = self.git.program()?;
        let _permit = self.git.history_permit(view.client()).await?;
        let directory = self.git.directory(&view.repository).await?;
        let path = path_text::unescaped(path);
        let command = git.blame(&directory, (commit, &path), lines, ignored).on_behalf_of(view.holder);
        let within = Duration::from_millis(self.limits.git_compute_ms);
        let output = run_child::run(command, BLAME_BYTES_MAX, within).await?;
        blame::parse(&output).map_err(|error| {
            // The line of the request has the cause.
            tracing::error!(repository.id = %view.repository.id, %commit, "git blame could not be parsed");
            ServiceError::new(Code::Internal, "the output of git could not be parsed").because(error)
        })
    }
}
