//! Repository contents for callers who may read: one function per query.
//!
//! Every function takes the view that [`Services::repository`] returned to such a caller, and a
//! commit that [`Services::resolve`] found. Names are resolved once; after that only object ids are
//! used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::git_resources::GitResources;
use super::histories::{CommitsQuestion, FolderQuestion, Key};
use super::spool::{MEMORY_BYTES_MAX, Spooled, TextCheck};
use super::{ServiceError, Services};
use crate::actors::cache::RepositoryView;
use crate::core::saturate;
use crate::domain::access::Credential;
use crate::domain::permission::project::Act;
use crate::git::archive_request::ArchiveRequest;
use crate::git::browse::{
    ArchiveLimits, Blob, Branch, BrowseError, BrowseLimits, Browser, CONTEXT_LINES_MAX, CommitDiff,
    CommitPage, Comparison, DiffPart, Distance, FileList, Oid, RefNames, RefPage, RefPath, ResolvedRef, Tag,
    Tree, TreePart,
};
use crate::git::metrics::Work;
use crate::git::program::{ArchiveFormat, ArchivePart};
use crate::git::run_child::RunChildError;
use crate::git::transfer::{self, Deadlines, Input, Output, TransferBody};
use crate::protocol::code::Code;

/// Hex digits of the commit in the name of an archive's folder: unique in any real repository.
const SHORT_OID: usize = 12;
/// Larger raw files are read by a git child process, which streams them; libgit2 would load the
/// whole file.
const RAW_READ_BYTES_MAX: usize = 1024 * 1024;

/// The unchanged bytes of a file.
pub enum RawFile {
    Small {
        bytes: Vec<u8>,
        /// Whether the whole file is UTF-8 without NUL.
        is_text: bool,
    },
    Large(Spooled),
}

/// The result of reading a repository.
#[derive(Debug)]
pub struct Reading<T> {
    pub answer: T,
    /// Whether every object that the answer needs was read. If not, a later read may return more.
    pub is_whole: bool,
}

impl<T> Reading<T> {
    fn of(
        question: impl FnOnce(&Browser) -> Result<T, BrowseError>,
    ) -> impl FnOnce(&Browser) -> Result<Self, BrowseError> {
        move |browser| {
            let answer = question(browser)?;
            Ok(Self { answer, is_whole: browser.has_read_all() })
        }
    }

    /// Returns the same reading, marked whole only if the answer is whole too.
    fn whole_if(self, is_whole: impl FnOnce(&T) -> bool) -> Self {
        Self { is_whole: self.is_whole && is_whole(&self.answer), ..self }
    }
}

impl Services {
    /// Returns the closure that runs `question` on the repository.
    pub(super) fn browsing<T, Q: FnOnce(&Browser) -> Result<T, BrowseError>>(
        &self,
        view: &RepositoryView,
        question: Q,
    ) -> impl FnOnce() -> Result<T, ServiceError> + use<T, Q> {
        self.browsing_within(view, BrowseLimits::default(), question)
    }

    pub(super) fn browsing_within<T, Q: FnOnce(&Browser) -> Result<T, BrowseError>>(
        &self,
        view: &RepositoryView,
        limits: BrowseLimits,
        question: Q,
    ) -> impl FnOnce() -> Result<T, ServiceError> + use<T, Q> {
        let (store, repository) = (self.git.store.clone(), view.repository.clone());
        let is_here = self.git.check_stored_here(&repository);
        move || {
            is_here?;
            let directory = store.existing(repository.storage_key)?;
            let browser = Browser::open(&directory, &repository.default_branch, limits)?;
            Ok(question(&browser)?)
        }
    }

    /// Runs a query on a blocking thread.
    pub(super) async fn ask_browser<T: Send + 'static>(
        &self,
        view: &RepositoryView,
        question: impl FnOnce(&Browser) -> Result<T, BrowseError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.git.blocking(view.client(), self.browsing(view, question)).await?
    }

    /// Runs a query that walks a history. It waits among other walks only, so it never delays a
    /// folder listing.
    pub(super) async fn ask_history<T: Send + 'static>(
        &self,
        view: &RepositoryView,
        question: impl FnOnce(&Browser) -> Result<T, BrowseError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        self.git.walking(view.client(), self.browsing(view, question)).await?
    }

    /// Returns the commit that a ref name in a URL resolves to; without a name, the commit of the
    /// default branch.
    pub async fn resolve(
        &self,
        view: &RepositoryView,
        reference: Option<String>,
    ) -> Result<ResolvedRef, ServiceError> {
        // An empty name in the URL does not mean the default branch.
        if reference.as_ref().is_some_and(String::is_empty) {
            return Err(ServiceError::new(Code::BadRequest, "the ref must not be empty"));
        }
        self.ask_browser(view, move |browser| browser.resolve(reference.as_deref().unwrap_or(""))).await
    }

    /// Returns the commit and the path in `{ref}/{path}`, where a ref may contain slashes.
    pub async fn resolve_ref_path(
        &self,
        view: &RepositoryView,
        text: String,
    ) -> Result<RefPath, ServiceError> {
        self.ask_browser(view, move |browser| browser.resolve_ref_path(&text)).await
    }

    /// Returns the commit with this object id, which may be abbreviated where it is unique.
    pub async fn resolve_id(&self, view: &RepositoryView, oid: String) -> Result<ResolvedRef, ServiceError> {
        self.ask_browser(view, move |browser| browser.resolve_id(&oid)).await
    }

    /// Returns the commit of the default branch, or `None` before the first push to it.
    pub async fn default_head(&self, view: &RepositoryView) -> Result<Option<ResolvedRef>, ServiceError> {
        let resolve = |browser: &Browser| match browser.resolve("") {
            Err(BrowseError::Empty) => Ok(None),
            other => other.map(Some),
        };
        self.ask_browser(view, resolve).await
    }

    /// Returns branches after `after`, sorted by name.
    pub async fn branches(
        &self,
        view: &RepositoryView,
        after: Option<String>,
        limit: usize,
    ) -> Result<RefPage<Branch>, ServiceError> {
        self.ask_browser(view, move |browser| browser.branches(after.as_deref(), limit)).await
    }

    /// Returns tags after `after`, sorted by name.
    pub async fn tags(
        &self,
        view: &RepositoryView,
        after: Option<String>,
        limit: usize,
    ) -> Result<RefPage<Tag>, ServiceError> {
        self.ask_browser(view, move |browser| browser.tags(after.as_deref(), limit)).await
    }

    /// Returns the first `limit` names of branches and of tags. Reads no object.
    pub async fn ref_names(&self, view: &RepositoryView, limit: usize) -> Result<RefNames, ServiceError> {
        self.ask_browser(view, move |browser| browser.names(limit)).await
    }

    /// Returns those of the names that are names of branches. Reads no object.
    pub async fn branches_among(
        &self,
        view: &RepositoryView,
        names: Vec<String>,
    ) -> Result<BTreeSet<String>, ServiceError> {
        self.ask_browser(view, move |browser| browser.branches_among(&names)).await
    }

    /// Returns a folder.
    pub async fn tree(
        &self,
        view: &RepositoryView,
        commit: Oid,
        path: String,
        with_history: bool,
        part: TreePart,
    ) -> Result<Reading<Arc<Tree>>, ServiceError> {
        if !with_history {
            let question =
                move |browser: &Browser| browser.tree_part(commit, &path, false, part).map(Arc::new);
            return self.ask_browser(view, Reading::of(question)).await;
        }
        let key = Key::new(view, commit, FolderQuestion { path: path.clone(), part });
        let question = Reading::of(move |browser: &Browser| browser.tree_part(commit, &path, true, part));
        let question = move |browser: &Browser| {
            question(browser).map(|found| found.whole_if(|tree| !tree.history_truncated))
        };
        self.ask_kept(view, &self.git.histories.folders, key, question).await
    }

    /// Returns a file, with its text if it is a text file.
    pub async fn blob(&self, view: &RepositoryView, commit: Oid, path: String) -> Result<Blob, ServiceError> {
        self.ask_browser(view, move |browser| browser.blob(commit, &path)).await
    }

    /// Returns the bytes of any file. A large file is sent only while the caller may read the
    /// repository.
    pub async fn raw(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        commit: Oid,
        path: String,
    ) -> Result<RawFile, ServiceError> {
        let at = path.clone();
        let file = self.ask_browser(view, move |browser| browser.file_size(commit, &at)).await?;
        if file.size_bytes <= RAW_READ_BYTES_MAX {
            let (_, bytes) = self.ask_browser(view, move |browser| browser.raw(commit, &path)).await?;
            let mut check = TextCheck::default();
            check.feed(&bytes);
            let is_text = check.is_text();
            if bytes.len() > MEMORY_BYTES_MAX {
                let spooled = self.spool(view.holder, bytes, is_text).await?;
                return Ok(RawFile::Large(spooled.with_entitlement(self.entitlement(who, view, Act::Read))));
            }
            return Ok(RawFile::Small { is_text, bytes });
        }
        let _permit = self.git.bulk_permit(view.client()).await?;
        let directory = self.git.directory(&view.repository).await?;
        let size_bytes = saturate::to_u64(file.size_bytes);
        let command =
            self.git.program()?.blob(&directory, &file.oid.to_string(), size_bytes).on_behalf_of(view.holder);
        let spooled = self.spool_output(view.holder, command, file.size_bytes).await?;
        Ok(RawFile::Large(spooled.with_entitlement(self.entitlement(who, view, Act::Read))))
    }

    /// Returns the paths of all files of a commit, for a search by name.
    pub async fn files(&self, view: &RepositoryView, commit: Oid) -> Result<Reading<FileList>, ServiceError> {
        self.ask_history(view, Reading::of(move |browser: &Browser| browser.files(commit))).await
    }

    /// Returns the history that leads to `from`; with a path, only commits that touch the path.
    pub async fn commits(
        &self,
        view: &RepositoryView,
        from: Oid,
        path: Option<String>,
        after: Option<Oid>,
        limit: usize,
    ) -> Result<Reading<Arc<CommitPage>>, ServiceError> {
        // The newest commits are read without a walk.
        if path.is_none() && after.is_none() {
            let question = move |browser: &Browser| browser.commits(from, None, None, limit).map(Arc::new);
            return self.ask_browser(view, Reading::of(question)).await;
        }
        let key = Key::new(view, from, CommitsQuestion { path: path.clone(), after, limit });
        let question =
            Reading::of(move |browser: &Browser| browser.commits(from, path.as_deref(), after, limit));
        let question =
            move |browser: &Browser| question(browser).map(|found| found.whole_if(|page| !page.truncated));
        self.ask_kept(view, &self.git.histories.commits, key, question).await
    }

    /// Returns a commit and its changes.
    pub async fn commit(&self, view: &RepositoryView, oid: Oid) -> Result<Reading<CommitDiff>, ServiceError> {
        self.commit_part(view, oid, DiffPart::default()).await
    }

    /// Returns a commit and a part of its changes, such as a single file.
    pub async fn commit_part(
        &self,
        view: &RepositoryView,
        oid: Oid,
        part: DiffPart,
    ) -> Result<Reading<CommitDiff>, ServiceError> {
        check_context(&part)?;
        self.ask_history(view, Reading::of(move |browser: &Browser| browser.commit_part(oid, &part))).await
    }

    /// Returns the commits and changes that `head` adds to `base`.
    pub async fn compare(
        &self,
        view: &RepositoryView,
        base: Oid,
        head: Oid,
    ) -> Result<Reading<Comparison>, ServiceError> {
        self.compare_part(view, base, head, DiffPart::default()).await
    }

    /// Returns a part of the changes that `head` adds to `base`, such as a single file. The answer
    /// for a single file lists no commits.
    pub async fn compare_part(
        &self,
        view: &RepositoryView,
        base: Oid,
        head: Oid,
        part: DiffPart,
    ) -> Result<Reading<Comparison>, ServiceError> {
        check_context(&part)?;
        let question = move |browser: &Browser| browser.compare_part(base, head, &part);
        self.ask_history(view, Reading::of(question)).await
    }

    /// Returns how far the commits are from `base`, as far as that is counted in a fraction of a
    /// second.
    pub async fn distances(
        &self,
        view: &RepositoryView,
        base: Oid,
        heads: Vec<Oid>,
    ) -> Result<BTreeMap<Oid, Distance>, ServiceError> {
        let question = move |browser: &Browser| Ok(browser.distances(base, &heads));
        let work = self.browsing_within(view, BrowseLimits::of_distances(), question);
        self.git.walking(view.client(), work).await?
    }

    /// Streams all files of a commit, in this folder. Without its name, the folder is named after
    /// the repository and the commit. The stream ends when the caller loses read access to the
    /// repository.
    pub async fn archive(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        (commit, format): (Oid, ArchiveFormat),
        folder: Option<String>,
    ) -> Result<TransferBody, ServiceError> {
        let of_commit = || {
            let oid = commit.to_string();
            format!("{}-{}", view.repository.name, oid.get(..SHORT_OID).unwrap_or(&oid))
        };
        let prefix = format!("{}/", folder.unwrap_or_else(of_commit));
        self.pack_archive(who, view, (commit, format), ArchivePart { prefix, ..ArchivePart::default() }).await
    }

    /// Streams the archive that `git archive --remote` requested.
    pub async fn remote_archive(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        asked: ArchiveRequest,
    ) -> Result<TransferBody, ServiceError> {
        let ArchiveRequest { format, prefix, reference, folder, paths } = asked;
        let commit = self.resolve(view, Some(reference)).await?.oid;
        let (within, wanted) = (folder.clone(), paths.clone());
        self.ask_browser(view, move |browser| browser.check_paths(commit, &within, &wanted)).await?;
        self.pack_archive(who, view, (commit, format), ArchivePart { prefix, folder, paths }).await
    }

    async fn pack_archive(
        &self,
        who: Option<Credential>,
        view: &RepositoryView,
        (commit, format): (Oid, ArchiveFormat),
        part: ArchivePart,
    ) -> Result<TransferBody, ServiceError> {
        let git = self.git.program()?;
        let limits = ArchiveLimits {
            entries: self.limits.git_archive_entries,
            path_bytes: self.limits.git_archive_path_bytes,
            bytes: self.limits.git_archive_bytes,
        };
        self.ask_history(view, move |browser| browser.archive_size(commit, limits)).await?;
        let permit = self.git.acquire(Work::Archive, view.client()).await?;
        let directory = self.git.directory(&view.repository).await?;
        let command = git.archive(&directory, &commit.to_string(), format, &part).on_behalf_of(view.holder);
        let total = Duration::from_millis(self.limits.git_archive_ms);
        let deadlines = Deadlines { total, ..GitResources::deadlines(&self.limits) };
        let nothing = Input::plain(tokio::io::empty());
        let watch = self.entitlement(who, view, Act::Read).watch(permit.share().cut().clone());
        let body =
            transfer::read(command, nothing, Output::Raw, deadlines, permit).map_err(RunChildError::from)?;
        Ok(body.with_watch(watch))
    }
}

fn check_context(part: &DiffPart) -> Result<(), ServiceError> {
    if part.context_lines > CONTEXT_LINES_MAX {
        let sentence = format!("context must be 0 to {CONTEXT_LINES_MAX} lines");
        return Err(ServiceError::new(Code::BadRequest, sentence));
    }
    Ok(())
}

impl From<BrowseError> for ServiceError {
    fn from(error: BrowseError) -> Self {
        let code = match &error {
            BrowseError::NotFound(_) | BrowseError::Empty => Code::NotFound,
            BrowseError::BadRequest(_) => Code::BadRequest,
            BrowseError::TooLarge(_) => Code::TooLarge,
            BrowseError::Failed(_) => Code::Internal,
        };
        let answered = Self::new(code, error.to_string());
        if code == Code::Internal { answered.because(error) } else { answered }
    }
}
