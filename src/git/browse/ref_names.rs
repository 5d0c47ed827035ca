//! Lists the names of branches and tags, for pages that show nothing else of them. Reads no object.

use std::collections::BTreeSet;

use git2::{ErrorClass, ErrorCode, Reference};

use super::{BrowseError, Browser, Oid};

const BRANCHES: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";

/// The first names of branches and of tags, in bytewise order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefNames {
    pub branches: Vec<String>,
    pub tags: Vec<TagName>,
    /// Whether more branches or tags exist.
    pub has_more: bool,
}

/// The name of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagName {
    pub name: String,
    /// Whether a branch has the same name. The short name then means the branch.
    pub is_branch_too: bool,
}

impl Browser {
    /// Returns the first `limit` names of branches, and as many of tags. A name whose target cannot
    /// be read is included.
    pub fn names(&self, limit: usize) -> Result<RefNames, BrowseError> {
        let (branches, more_branches) = self.first_names(BRANCHES, limit)?;
        let (tags, more_tags) = self.first_names(TAGS, limit)?;
        let tags = tags.into_iter().map(|name| {
            let is_branch_too = self.has_branch(&name)?;
            Ok(TagName { name, is_branch_too })
        });
        Ok(RefNames {
            branches,
            tags: tags.collect::<Result<_, BrowseError>>()?,
            has_more: more_branches || more_tags,
        })
    }

    /// Returns those of the names that are names of branches.
    pub fn branches_among(&self, names: &[String]) -> Result<BTreeSet<String>, BrowseError> {
        let mut found = BTreeSet::new();
        for name in names {
            if self.has_branch(name)? {
                found.insert(name.clone());
            }
        }
        Ok(found)
    }

    /// Returns the object that a branch points to, not peeled; `None` if the branch does not exist.
    pub fn branch_target(&self, name: &str) -> Result<Option<Oid>, BrowseError> {
        Ok(self.ref_target(&format!("{BRANCHES}{name}"))?.map(Oid::from))
    }

    /// Returns the first names below `prefix`, and whether more exist.
    fn first_names(&self, prefix: &str, limit: usize) -> Result<(Vec<String>, bool), BrowseError> {
        let limit = self.limits.page(limit);
        let mut names = self.ref_names(prefix, None, limit.saturating_add(1))?;
        let has_more = names.len() > limit;
        if has_more {
            names.pop_last();
        }
        Ok((names.into_iter().collect(), has_more))
    }

    /// Returns whether a branch has this name. Does not follow a symbolic ref.
    fn has_branch(&self, name: &str) -> Result<bool, BrowseError> {
        let full_name = format!("{BRANCHES}{name}");
        if !Reference::is_valid_name(&full_name) {
            return Ok(false);
        }
        match self.repository.find_reference(&full_name) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the first `count` names under `prefix` after `after`, without the prefix. Reads all
    /// names and keeps only these.
    pub(super) fn ref_names(
        &self,
        prefix: &str,
        after: Option<&str>,
        count: usize,
    ) -> Result<BTreeSet<String>, BrowseError> {
        let mut names = BTreeSet::new();
        let mut references = self.repository.references_glob(&format!("{prefix}*"))?;
        for name in references.names() {
            let name = match name {
                Ok(name) => name,
                // A name that is not UTF-8 cannot be requested.
                Err(error) if error.class() == ErrorClass::None => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(name) = name.strip_prefix(prefix) else { continue };
            if after.is_some_and(|after| name <= after) {
                continue;
            }
            names.insert(name.to_owned());
            if names.len() > count {
                names.pop_last();
            }
        }
        Ok(names)
    }
}
