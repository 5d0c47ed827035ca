//! `/search`: messages, code, commits and users by words and filters.
//!
//! The page asks the same service as the API, and shows each group of results with its own way to
//! further ones. A new group needs an entry in `GROUPS`, a field of `Results`, and a section of the
//! template.

mod results;
pub(super) mod show;
