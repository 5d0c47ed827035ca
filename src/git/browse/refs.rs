//! Lists branches and tags, and resolves names in URLs.
//!
//! Only refs under [`VISIBLE`] are accessible, also as the target of a symbolic ref: the server
//! keeps private refs.

use encoding_rs::Encoding;
use git2::{ErrorCode, ObjectType, Reference};
use serde::Serialize;
use utoipa::ToSchema;

use super::budget::json_bytes;
use super::commit::Commit;
use super::object::{self, Oid, Person};
use super::text;
use super::{BrowseError, Browser};
use crate::domain::timestamp::Timestamp;

/// The namespaces that users push to.
pub(super) const VISIBLE: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/notes/"];
/// The name of the default branch in requests, as in git. Branches and tags cannot have this name.
pub(super) const HEAD: &str = "HEAD";
/// Minimum number of digits of a short object id, as in git.
const SHORT_OID_MIN: usize = 4;
/// Maximum number of symbolic refs followed, as in git.
const SYMBOLIC_REFS_MAX: usize = 5;
/// Maximum length of a chain of tags that is followed; real chains have one or two tags.
const TAG_CHAIN_MAX: usize = 16;
/// Maximum length of a ref name. A longer name, or a longer part, cannot be a file name either.
const NAME_BYTES_MAX: usize = 1024;
const NAME_PART_BYTES_MAX: usize = 255;

/// The kind of ref that a name was resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefKind {
    Branch,
    Tag,
    /// A full name, `refs/...`.
    Ref,
    /// An object id.
    Commit,
    /// A prefix of an object id, which may become ambiguous.
    ShortCommit,
}

/// A name in a URL and the commit that it resolves to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResolvedRef {
    /// The id of a commit: tags are peeled.
    pub oid: Oid,
    pub kind: RefKind,
    /// The short name of a branch or tag; otherwise the same as `canonical`.
    pub name: String,
    /// The full ref name, or the object id in lower case. Safe as an argument of git: it never
    /// begins with `-`.
    pub canonical: String,
}

/// Items in bytewise order of their names, and the name after which the next page begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RefPage<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Branch {
    pub name: String,
    pub oid: Oid,
    pub default: bool,
    /// Absent when the commit cannot be read.
    #[schema(value_type = Option<String>)]
    pub committed_at: Option<Timestamp>,
    pub summary: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Tag {
    pub name: String,
    /// The object that the tag points to, usually a commit; tags of tags are peeled.
    pub oid: Oid,
    /// `commit`, `tree` or `blob`; `tag` if the chain of tags is too long to follow; absent if the
    /// object cannot be read.
    pub target_kind: Option<&'static str>,
    /// The tag object of an annotated tag.
    pub tag_oid: Option<Oid>,
    pub message: Option<String>,
    /// The signature after the message, as armoured text. Not verified.
    pub signature: Option<String>,
    pub tagger: Option<Person>,
    /// The date of the tag; for a lightweight tag, the date of its commit.
    #[schema(value_type = Option<String>)]
    pub created_at: Option<Timestamp>,
}

impl Browser {
    /// Resolves `reference`.
    ///
    /// - Empty or `HEAD`: the default branch.
    /// - A name that begins with `refs/`: exactly this full ref name.
    /// - Any other name: a branch, a tag, or the object id of a commit or of a tag of a commit, in
    ///   this order. A unique id may be shortened to [`SHORT_OID_MIN`] digits. The object does not
    ///   need to be reachable from a ref.
    ///
    /// Revision expressions are never evaluated.
    pub fn resolve(&self, reference: &str) -> Result<ResolvedRef, BrowseError> {
        if reference.is_empty() || reference == HEAD {
            let (kind, name) = (RefKind::Branch, self.default_branch.clone());
            let full_name = format!("refs/heads/{name}");
            return self.named(kind, name, full_name)?.ok_or(BrowseError::Empty);
        }
        // Such a name cannot be pushed. Rejecting it here ensures that git never treats it as an
        // option.
        if reference.starts_with('-') {
            return Err(BrowseError::NotFound("ref"));
        }
        let is_full_name = reference.starts_with("refs/");
        let candidates = [
            (RefKind::Ref, is_full_name, reference.to_owned()),
            (RefKind::Branch, !is_full_name, format!("refs/heads/{reference}")),
            (RefKind::Tag, !is_full_name, format!("refs/tags/{reference}")),
        ];
        for (kind, _, full_name) in candidates.into_iter().filter(|(_, fits, _)| *fits) {
            if let Some(found) = self.named(kind, reference.to_owned(), full_name)? {
                return Ok(found);
            }
        }
        self.resolve_id(reference)
    }

    /// Resolves an object id, full or shortened, of a commit or of a tag of a commit.
    pub fn resolve_id(&self, text: &str) -> Result<ResolvedRef, BrowseError> {
        let full = Oid::parse(text).map(Oid::raw);
        let kind = if full.is_some() { RefKind::Commit } else { RefKind::ShortCommit };
        let found = full.map_or_else(|| self.completed(text), Ok)?;
        let name = found.to_string();
        let oid = self.peel_to_commit(found)?.into();
        Ok(ResolvedRef { oid, kind, name: name.clone(), canonical: name })
    }

    /// Returns the only object whose id begins with `digits`. Searches the indexes only; does not
    /// read objects.
    fn completed(&self, digits: &str) -> Result<git2::Oid, BrowseError> {
        let missing = BrowseError::NotFound("ref");
        let is_short = (SHORT_OID_MIN..Oid::DIGITS).contains(&digits.len());
        if !is_short || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(missing);
        }
        let prefix = git2::Oid::from_str(digits).map_err(|_| BrowseError::NotFound("ref"))?;
        self.repository.odb()?.exists_prefix(prefix, digits.len()).map_err(|error| match error.code() {
            ErrorCode::NotFound => missing,
            ErrorCode::Ambiguous => {
                BrowseError::BadRequest("several object ids begin with these digits: give more digits")
            }
            _ => error.into(),
        })
    }

    pub(super) fn named(
        &self,
        kind: RefKind,
        name: String,
        canonical: String,
    ) -> Result<Option<ResolvedRef>, BrowseError> {
        let Some(target) = self.ref_target(&canonical)? else { return Ok(None) };
        let oid = self.peel_to_commit(target)?.into();
        Ok(Some(ResolvedRef { oid, kind, name, canonical }))
    }

    /// Returns the branches after `after`, a short name.
    pub fn branches(&self, after: Option<&str>, limit: usize) -> Result<RefPage<Branch>, BrowseError> {
        self.ref_page("refs/heads/", after, limit, |name, target| {
            let commit = self.find_commit(target).ok();
            let summary = commit.as_ref().map(Commit::summary);
            let bytes = summary.as_ref().map_or(0, |summary| json_bytes(summary.as_bytes()));
            let branch = Branch {
                default: name == self.default_branch,
                name,
                oid: target.into(),
                committed_at: commit.as_ref().map(|commit| object::seconds(commit.seconds)),
                summary,
            };
            (branch, bytes)
        })
    }

    /// Returns the tags after `after`, a short name.
    pub fn tags(&self, after: Option<&str>, limit: usize) -> Result<RefPage<Tag>, BrowseError> {
        self.ref_page("refs/tags/", after, limit, |name, target| {
            let tag = self.tag(name, target);
            let tagger = tag.tagger.as_ref().map(|tagger| [&tagger.name, &tagger.email]);
            let texts = tagger.into_iter().flatten().chain(&tag.message).chain(&tag.signature);
            let bytes = texts.map(|text| json_bytes(text.as_bytes())).fold(0, usize::saturating_add);
            (tag, bytes)
        })
    }

    fn ref_page<T>(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        item: impl Fn(String, git2::Oid) -> (T, usize),
    ) -> Result<RefPage<T>, BrowseError> {
        let limit = self.limits.page(limit);
        let mut names = self.ref_names(prefix, after, limit.saturating_add(1))?;
        let more = names.len() > limit;
        if more {
            names.pop_last();
        }
        let mut next = names.last().filter(|_| more).cloned();
        let (mut items, mut left) = (Vec::with_capacity(names.len()), self.limits.page_bytes);
        let mut before = None;
        for name in names {
            // A symbolic ref without a target is not a branch yet.
            if let Ok(Some(target)) = self.ref_target(&format!("{prefix}{name}")) {
                let (item, bytes) = item(name.clone(), target);
                let rest = left.checked_sub(bytes.saturating_add(json_bytes(name.as_bytes())));
                if rest.is_none() && before.is_some() {
                    next = before;
                    break;
                }
                left = rest.unwrap_or(0);
                items.push(item);
            }
            before = Some(name);
        }
        Ok(RefPage { items, next })
    }

    /// Returns the target of a visible ref. Follows symbolic refs; does not peel tags.
    pub(super) fn ref_target(&self, full_name: &str) -> Result<Option<git2::Oid>, BrowseError> {
        let mut name = full_name.to_owned();
        for _ in 0..=SYMBOLIC_REFS_MAX {
            if !is_visible_name(&name) {
                return Ok(None);
            }
            let reference = match self.repository.find_reference(&name) {
                Ok(reference) => reference,
                Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(target) = reference.target() {
                return Ok(Some(target));
            }
            match reference.symbolic_target() {
                Ok(Some(target)) => name = target.to_owned(),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    fn peel_to_commit(&self, oid: git2::Oid) -> Result<git2::Oid, BrowseError> {
        match self.peel(oid)? {
            (oid, ObjectType::Commit) => Ok(oid),
            _ => Err(BrowseError::NotFound("commit")),
        }
    }

    /// Peels tags; returns the object at the end of the chain and its type.
    fn peel(&self, mut oid: git2::Oid) -> Result<(git2::Oid, ObjectType), BrowseError> {
        for _ in 0..TAG_CHAIN_MAX {
            match self.stored(oid, "commit")?.kind {
                ObjectType::Tag => oid = self.find_tag(oid)?.target_id(),
                kind => return Ok((oid, kind)),
            }
        }
        Ok((oid, ObjectType::Tag))
    }

    fn tag(&self, name: String, target: git2::Oid) -> Tag {
        let (oid, kind) = self.peel(target).map_or((target, None), |(oid, kind)| (oid, Some(kind)));
        let object = self.find_tag(target).ok();
        let tagger = object.as_ref().and_then(git2::Tag::tagger);
        let parts =
            object.as_ref().map(|tag| text::without_signature(tag.message_bytes().unwrap_or_default()));
        let encoding = object.as_ref().and_then(|tag| self.tag_encoding(tag, oid));
        let created_at = match &object {
            Some(_) => tagger.as_ref().map(|tagger| tagger.when().seconds()),
            None => self.find_commit(target).ok().map(|commit| commit.seconds),
        };
        Tag {
            name,
            oid: oid.into(),
            target_kind: kind.map(|kind| kind.str()),
            tag_oid: object.as_ref().map(|tag| tag.id().into()),
            message: parts.map(|(message, _)| text::message(message, encoding).0),
            signature: parts.and_then(|(_, signature)| signature).map(|text| text::message(text, None).0),
            tagger: tagger
                .as_ref()
                .map(|tagger| Person::of(tagger.name_bytes(), tagger.email_bytes(), encoding)),
            created_at: created_at.map(object::seconds),
        }
    }

    /// Returns the encoding of the texts of a tag; `None` for UTF-8. git does not write an
    /// `encoding` header into a tag, regardless of `i18n.commitEncoding`. A text that is not UTF-8
    /// is therefore decoded with the encoding of the tagged commit.
    fn tag_encoding(&self, tag: &git2::Tag<'_>, leads_to: git2::Oid) -> Option<&'static Encoding> {
        let tagger = tag.tagger();
        let texts = [tag.message_bytes(), tagger.as_ref().map(|tagger| tagger.name_bytes())];
        if texts.into_iter().flatten().all(|text| std::str::from_utf8(text).is_ok()) {
            return None;
        }
        let bytes = self.load(tag.id(), "tag").ok()?;
        let mut headers = bytes.split(|byte| *byte == b'\n').take_while(|line| !line.is_empty());
        let header = headers.find_map(|line| line.strip_prefix(b"encoding "));
        let commit = || self.find_commit(leads_to).ok()?.encoding();
        header.map_or_else(commit, text::encoding)
    }
}

fn is_visible_name(name: &str) -> bool {
    VISIBLE.iter().any(|prefix| name.starts_with(prefix))
        && name.len() <= NAME_BYTES_MAX
        && name.split('/').all(|part| part.len() <= NAME_PART_BYTES_MAX)
        && Reference::is_valid_name(name)
}
