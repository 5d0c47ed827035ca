//! Turns texts of users into safe HTML: code, documents, diffs, commit messages, avatars.
//!
//! All functions are pure: they take values and return values, without I/O and without state. The
//! pages decide about layout and addresses; this module decides what a text may become.
//!
//! # Rules
//! * All texts are untrusted. Only this module creates [`SafeHtml`], so a template may write a
//!   value of this type without escaping it, and must escape all other texts.
//! * No output has a `style` attribute, a script, a form or an address of another scheme than
//!   `http`, `https` and `mailto`. No output makes a browser fetch from another server.
//! * Every text, list and walk has a named limit. A result reports whether a limit was reached.
//! * Invisible characters and characters that change the direction of text are marked, see
//!   [`hidden`].
//!
//! # Classes
//! | Class | Meaning |
//! |---|---|
//! | `hl-c` `hl-k` `hl-s` `hl-n` `hl-t` `hl-f` `hl-v` `hl-a` `hl-m` | see [`code::Class`] |
//! | `hidden-char` | the name of a hidden character, in its place |
//! | `diff-context` `diff-added` `diff-removed` `diff-hunk` `diff-note` | rows, see [`diff::DiffKind`] |
//! | `diff-word` | a word that differs inside a changed line |
//! | `code-block` | a block of code in a document, `<pre>` |
//! | `plain-text` | a document that is not Markdown, `<pre>` |
//! | `alert-note` `alert-tip` `alert-important` `alert-warning` `alert-caution` | a remark, `<blockquote>` |
//! | `footnote` | a footnote of a document, `<div>` |
//! | `task` | the mark of a task in a list, `<span>` |
//! | `mark` | the element around a match of a search, see [`excerpt`] |
//! | `external-image` | a link to an image on another server |
//! | `avatar-0` … `avatar-11` | hues, see [`avatar`] |

pub mod avatar;
pub mod code;
pub mod commit_text;
pub mod data_block;
pub mod diff;
pub mod document;
pub mod excerpt;
pub mod hidden;
pub mod licences;
mod link;
mod safe_html;
mod scope_class;
mod words;

#[cfg(test)]
mod hostile_test;
#[cfg(test)]
mod html_check_test;

pub use safe_html::SafeHtml;
