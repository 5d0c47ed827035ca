//! The tokeniser: divides a text into atoms, and lists the terms of a message for the index.
//!
//! * A *word* is a run of letters and digits. An identifier such as `getUserName` is a word with
//!   the parts `get`, `user` and `name`; each of them is found, and so is the whole.
//! * A script without spaces between words (Chinese, Japanese, Thai; Korean, whose words have
//!   endings) gives an atom for each character.
//! * A symbol outside of ASCII is an atom: emoji, arrows, currencies.
//!
//! Atoms are *joined* if at most [`JOIN_MAX`] characters of ASCII punctuation stand between them,
//! and nothing else: `sess.opts`, `std::fs`, `/var/log`, `00:1a:2b`. So the index needs no list of
//! the kinds of identifiers.

use std::collections::BTreeSet;
use std::ops::Range;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::fold::{Case, FoldedChar, fold};
use super::query::{Feature, MessageTraits};
use crate::domain::ids::{ChatId, UserId};

/// Longer words are cut to this size, in messages and in queries.
pub const TERM_BYTES_MAX: usize = 64;
/// Different terms of one message. The rest of a longer message is not in the index.
pub const TERMS_PER_TEXT_MAX: usize = 4_096;
/// Characters of ASCII punctuation between joined atoms.
const JOIN_MAX: usize = 3;
/// A word with more parts is not an identifier: base64, a hash.
const PARTS_MAX: usize = 8;

/// A word, a character or a symbol of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Atom {
    pub(super) kind: AtomKind,
    /// Whether at most some punctuation is between this atom and the one before.
    pub(super) joined: bool,
    /// Bytes of the text.
    pub(super) at: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AtomKind {
    Word {
        text: String,
        /// The parts of an identifier in camel case, and those around an apostrophe. Empty if the
        /// word has a single part.
        parts: Vec<String>,
    },
    /// A character of a script without spaces.
    Unspaced(char),
    Symbol(char),
}

impl Atom {
    pub(super) fn word(&self) -> Option<&str> {
        match &self.kind {
            AtomKind::Word { text, .. } => Some(text),
            AtomKind::Unspaced(_) | AtomKind::Symbol(_) => None,
        }
    }

    pub(super) fn unspaced(&self) -> Option<char> {
        match &self.kind {
            AtomKind::Unspaced(c) => Some(*c),
            AtomKind::Word { .. } | AtomKind::Symbol(_) => None,
        }
    }
}

/// Returns the atoms of a text, in order.
pub(super) fn atoms(text: &str) -> Vec<Atom> {
    let chars = fold(text);
    let mut atoms: Vec<Atom> = Vec::new();
    let (mut rest, mut gap) = (chars.as_slice(), Gap::Wide);
    while let Some((first, after)) = rest.split_first() {
        let class = class_of(first.c);
        let (kind, to) = match class {
            Class::Word => {
                let (word, after) = take_word(rest);
                let to = before(rest, after).map_or(first.at.end, |last| last.at.end);
                rest = after;
                (word, to)
            }
            Class::Unspaced => {
                rest = after;
                (AtomKind::Unspaced(first.c), first.at.end)
            }
            Class::Symbol => {
                rest = after;
                (AtomKind::Symbol(first.c), first.at.end)
            }
            Class::Punctuation | Class::Other => {
                rest = after;
                gap = gap.with(class);
                continue;
            }
        };
        atoms.push(Atom { kind, joined: gap.joins(), at: first.at.start..to });
        gap = Gap::Narrow(0);
    }
    atoms
}

/// The characters between two atoms.
#[derive(Debug, Clone, Copy)]
enum Gap {
    /// So many characters of punctuation.
    Narrow(usize),
    Wide,
}

impl Gap {
    fn with(self, class: Class) -> Self {
        match self {
            Self::Narrow(count) if class == Class::Punctuation => Self::Narrow(count + 1),
            Self::Narrow(_) | Self::Wide => Self::Wide,
        }
    }

    fn joins(self) -> bool {
        matches!(self, Self::Narrow(count) if count <= JOIN_MAX)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Unspaced,
    Symbol,
    Punctuation,
    Other,
}

fn class_of(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() {
            Class::Word
        } else if c.is_ascii_punctuation() {
            Class::Punctuation
        } else {
            Class::Other
        };
    }
    if is_unspaced(c) {
        return Class::Unspaced;
    }
    match c.general_category_group() {
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number | GeneralCategoryGroup::Mark => {
            Class::Word
        }
        GeneralCategoryGroup::Symbol if c.general_category() != GeneralCategory::ModifierSymbol => {
            Class::Symbol
        }
        _ => Class::Other,
    }
}

/// Returns whether words of the script are not separated by spaces, or have endings (Hangul).
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{318f}'
        | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{1b000}'..='\u{1b16f}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Returns the last of the characters that `rest` has before `after`, which is its end.
fn before<'a>(rest: &'a [FoldedChar], after: &[FoldedChar]) -> Option<&'a FoldedChar> {
    rest.get(..rest.len().saturating_sub(after.len()))?.last()
}

/// Takes the word at the beginning of `rest`.
fn take_word(mut rest: &[FoldedChar]) -> (AtomKind, &[FoldedChar]) {
    let mut word = Word::default();
    while let Some((next, after)) = rest.split_first() {
        if class_of(next.c) == Class::Word {
            word.push(next, after.first());
        } else if matches!(next.c, '\'' | '\u{2019}')
            && word.ends_in_a_letter
            && after.first().is_some_and(|c| c.c.is_alphabetic() && class_of(c.c) == Class::Word)
        {
            word.end_part();
        } else {
            break;
        }
        rest = after;
    }
    (word.finish(), rest)
}

/// A word that is being read.
#[derive(Default)]
struct Word {
    text: String,
    parts: Vec<String>,
    part: String,
    /// The case of the last letter.
    case: Option<Case>,
    ends_in_a_letter: bool,
}

impl Word {
    fn push(&mut self, next: &FoldedChar, after: Option<&FoldedChar>) {
        let ends_capitals = || after.is_some_and(|after| after.case == Case::Lower);
        match (self.case, next.case) {
            (Some(Case::Lower), Case::Upper) => self.end_part(),
            (Some(Case::Upper), Case::Upper) if ends_capitals() => self.end_part(),
            _ => {}
        }
        if next.case != Case::None {
            self.case = Some(next.case);
        }
        self.ends_in_a_letter = next.c.is_alphabetic();
        for text in [&mut self.text, &mut self.part] {
            if text.len() + next.c.len_utf8() <= TERM_BYTES_MAX {
                text.push(next.c);
            }
        }
    }

    fn end_part(&mut self) {
        self.case = None;
        if !self.part.is_empty() && self.parts.len() <= PARTS_MAX {
            self.parts.push(std::mem::take(&mut self.part));
        }
        self.part.clear();
    }

    fn finish(mut self) -> AtomKind {
        self.end_part();
        if self.parts.len() < 2 || self.parts.len() > PARTS_MAX {
            self.parts.clear();
        }
        // The `s` of `user's` would be in every message.
        self.parts.retain(|part| part.len() > 1);
        AtomKind::Word { text: self.text, parts: self.parts }
    }
}

/// The term of two joined words. It makes the search for an identifier as fast as that for a rare
/// word.
pub(super) fn pair(first: &str, second: &str) -> String {
    format!(".{first}.{second}")
}

/// The term of two neighbouring characters of a script without spaces.
pub(super) fn bigram(first: char, second: char) -> String {
    String::from_iter([first, second])
}

/// Returns the term that all messages of a chat have.
pub fn chat_term(chat: ChatId) -> String {
    format!("=c{chat}")
}

/// Returns the term that all messages of a sender have.
pub fn sender_term(sender: UserId) -> String {
    format!("=u{sender}")
}

/// Returns the terms of a message, sorted. No term contains white space, a quotation mark or
/// another ASCII character than letters, digits, `.` and `=`.
pub fn message_terms(chat: ChatId, sender: UserId, content: &str, traits: MessageTraits) -> Vec<String> {
    let mut terms = text_terms(content);
    terms.extend(Feature::of(content, traits).map(|feature| feature.term().to_owned()));
    terms.extend([chat_term(chat), sender_term(sender)]);
    terms.into_iter().collect()
}

/// Returns the terms of the words of a text.
pub(super) fn text_terms(content: &str) -> BTreeSet<String> {
    let mut terms = BTreeSet::new();
    let mut previous: Option<Atom> = None;
    for atom in atoms(content) {
        if terms.len() >= TERMS_PER_TEXT_MAX {
            break;
        }
        let neighbour = previous.as_ref().filter(|_| atom.joined);
        match &atom.kind {
            AtomKind::Word { text, parts } => {
                terms.insert(text.clone());
                terms.extend(parts.iter().cloned());
                terms.extend(neighbour.and_then(Atom::word).map(|previous| pair(previous, text)));
            }
            AtomKind::Unspaced(c) => {
                terms.insert(String::from(*c));
                terms.extend(neighbour.and_then(Atom::unspaced).map(|previous| bigram(previous, *c)));
            }
            AtomKind::Symbol(c) => terms.extend([String::from(*c)]),
        }
        previous = Some(atom);
    }
    terms
}
