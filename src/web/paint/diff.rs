//! Turns the patch of a file into rows with line numbers.

use std::ops::Range;

use super::SafeHtml;
use super::hidden::Marks;
use super::words::WordBudget;

/// Maximum rows of a patch; the rest is not shown.
pub const ROWS_MAX: usize = 20_000;

/// The kind of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffKind {
    Context,
    Added,
    Removed,
    /// The header of a hunk: `@@ -1,3 +1,4 @@`, with the line that git shows for orientation.
    Hunk,
    /// A remark, such as `No newline at end of file`.
    Note,
}

impl DiffKind {
    /// Returns the name of the class in the style sheet.
    pub fn css(self) -> &'static str {
        match self {
            Self::Context => "diff-context",
            Self::Added => "diff-added",
            Self::Removed => "diff-removed",
            Self::Hunk => "diff-hunk",
            Self::Note => "diff-note",
        }
    }

    /// Returns the sign before the line, because colour alone does not mark a change.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Added => "+",
            Self::Removed => "\u{2212}",
            Self::Context | Self::Hunk | Self::Note => "",
        }
    }
}

/// A row of a patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffRow {
    pub kind: DiffKind,
    /// The line number in the old file, for context and removed lines.
    pub old: Option<u32>,
    /// The line number in the new file, for context and added lines.
    pub new: Option<u32>,
    /// The line without its sign. Words that differ are in `<span class="diff-word">`.
    pub html: SafeHtml,
}

/// The rows of the patch of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiffRows {
    pub rows: Vec<DiffRow>,
    /// Whether rows above [`ROWS_MAX`] are missing.
    pub truncated: bool,
    /// Whether the patch has invisible characters, or characters that change the direction of text.
    pub has_hidden: bool,
}

/// Returns the rows of a patch as in [`FileDiff::patch`](crate::git::browse::FileDiff::patch):
/// hunks of a unified diff without a file header.
///
/// The first character of each line decides. A line that is not part of a patch becomes a note.
pub fn diff_rows(patch: &str) -> DiffRows {
    diff_rows_within(patch, &mut DiffBudget::default())
}

/// Limits the work for all patches of a page.
#[derive(Debug, Default)]
pub struct DiffBudget(WordBudget);

/// Like [`diff_rows`], for a page with several patches. Above the budget, words are not marked.
pub fn diff_rows_within(patch: &str, budget: &mut DiffBudget) -> DiffRows {
    let lines = read(patch);
    let truncated = lines.len() > ROWS_MAX;
    let lines = lines.get(..ROWS_MAX).unwrap_or(&lines);
    let differences = differences(lines, &mut budget.0);
    let mut marks = Marks::default();
    let rows = lines.iter().zip(differences).map(|(line, words)| DiffRow {
        kind: line.kind,
        old: line.old,
        new: line.new,
        html: html(line.text, &words, &mut marks),
    });
    let rows = rows.collect();
    DiffRows { rows, truncated, has_hidden: marks.found }
}

#[derive(Debug, Clone, Copy)]
struct Line<'p> {
    kind: DiffKind,
    old: Option<u32>,
    new: Option<u32>,
    text: &'p str,
}

/// Reads at most [`ROWS_MAX`] lines and one more.
fn read(patch: &str) -> Vec<Line<'_>> {
    let (mut next_old, mut next_new) = (None, None);
    let lines = patch.split_inclusive('\n').take(ROWS_MAX.saturating_add(1)).map(|line| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let note = Line { kind: DiffKind::Note, old: None, new: None, text: line };
        let Some(text) = line.get(1..) else {
            return note;
        };
        match line.as_bytes().first() {
            Some(b' ') => {
                let (old, new) = (take(&mut next_old), take(&mut next_new));
                Line { kind: DiffKind::Context, old, new, text }
            }
            Some(b'+') => Line { kind: DiffKind::Added, old: None, new: take(&mut next_new), text },
            Some(b'-') => Line { kind: DiffKind::Removed, old: take(&mut next_old), new: None, text },
            Some(b'@') => {
                let begin = hunk_begin(line);
                (next_old, next_new) = (begin.map(|at| at.old), begin.map(|at| at.new));
                Line { kind: DiffKind::Hunk, ..note }
            }
            Some(b'\\') => Line { text: text.trim_start(), ..note },
            _ => note,
        }
    });
    lines.collect()
}

/// Returns a line number and increments it. Numbers end at the largest number.
fn take(next: &mut Option<u32>) -> Option<u32> {
    let number = *next;
    *next = number.and_then(|number| number.checked_add(1));
    number
}

/// The first line numbers of a hunk.
#[derive(Debug, Clone, Copy)]
struct HunkBegin {
    old: u32,
    new: u32,
}

/// Parses `@@ -old[,count] +new[,count] @@`.
fn hunk_begin(line: &str) -> Option<HunkBegin> {
    let rest = line.strip_prefix("@@ -")?;
    let (old, rest) = rest.split_once(' ')?;
    let (new, _) = rest.strip_prefix('+')?.split_once(' ')?;
    let number = |range: &str| range.split(',').next().and_then(|number| number.parse().ok());
    Some(HunkBegin { old: number(old)?, new: number(new)? })
}

/// Returns the ranges that differ, for each line. Compares removed lines with the added lines that
/// follow them, the first with the first.
fn differences(lines: &[Line<'_>], budget: &mut WordBudget) -> Vec<Vec<Range<usize>>> {
    let mut found = vec![Vec::new(); lines.len()];
    let mut at = 0_usize;
    while let Some(rest) = lines.get(at..).filter(|rest| !rest.is_empty()) {
        let removed = rest.iter().take_while(|line| line.kind == DiffKind::Removed).count();
        let after = rest.iter().skip(removed);
        // "No newline at end of file" may be between them.
        let notes = after.clone().take_while(|line| line.kind == DiffKind::Note).count();
        let added = after.skip(notes).take_while(|line| line.kind == DiffKind::Added).count();
        let first_added = at.saturating_add(removed).saturating_add(notes);
        for pair in 0..removed.min(added) {
            let (old_at, new_at) = (at.saturating_add(pair), first_added.saturating_add(pair));
            let (Some(old), Some(new)) = (lines.get(old_at), lines.get(new_at)) else { continue };
            let Some(words) = budget.compare(old.text, new.text) else { continue };
            if let Some(slot) = found.get_mut(old_at) {
                *slot = words.old;
            }
            if let Some(slot) = found.get_mut(new_at) {
                *slot = words.new;
            }
        }
        let step = if removed == 0 { 1 } else { removed.saturating_add(notes).saturating_add(added) };
        at = at.saturating_add(step);
    }
    found
}

fn html(text: &str, words: &[Range<usize>], marks: &mut Marks) -> SafeHtml {
    let mut html = String::with_capacity(text.len());
    let mut from = 0;
    for word in words {
        marks.push(&mut html, text, from..word.start);
        html.push_str("<span class=\"diff-word\">");
        marks.push(&mut html, text, word.clone());
        html.push_str("</span>");
        from = word.end;
    }
    marks.push(&mut html, text, from..text.len());
    SafeHtml::written(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the rows as `kind old new html`.
    fn shown(patch: &str) -> Vec<String> {
        let number = |number: Option<u32>| number.map_or("-".to_owned(), |number| number.to_string());
        let rows = diff_rows(patch).rows;
        rows.iter()
            .map(|row| {
                let kind = row.kind.css().trim_start_matches("diff-");
                format!("{kind} {} {} {}", number(row.old), number(row.new), row.html)
            })
            .collect()
    }

    #[test]
    fn rows_have_numbers_and_words() {
        let patch =
            "@@ -3,4 +3,4 @@ fn f<T>()\n a\n-let x = 1;\n+let x = 2;\n b\n-c\n\\ No newline at end of file\n";
        assert_eq!(
            shown(patch),
            [
                "hunk - - @@ -3,4 +3,4 @@ fn f&lt;T&gt;()",
                "context 3 3 a",
                "removed 4 - let x = <span class=\"diff-word\">1</span>;",
                "added - 4 let x = <span class=\"diff-word\">2</span>;",
                "context 5 5 b",
                "removed 6 - c",
                "note - - No newline at end of file",
            ]
        );
    }

    #[test]
    fn lines_around_a_note_are_compared() {
        let rows = shown("@@ -1 +1 @@\n-a b c\n\\ No newline at end of file\n+a b d\n");
        assert_eq!(rows[1], "removed 1 - a b <span class=\"diff-word\">c</span>");
        assert_eq!(rows[3], "added - 1 a b <span class=\"diff-word\">d</span>");
    }

    #[test]
    fn hunks_restart_numbers() {
        let rows = shown("@@ -0,0 +1 @@\n+a\n@@ -10 +20,0 @@\n-b\n");
        assert_eq!(rows[1], "added - 1 a");
        assert_eq!(rows[3], "removed 10 - b");
    }

    #[test]
    fn content_that_resembles_a_header_is_content() {
        let rows = shown("@@ -1 +1 @@\n-@@ -9 +9 @@\n+++ b/x\n \\ x\n");
        assert_eq!(rows[1..], ["removed 1 - @@ -9 +9 @@", "added - 1 ++ b/x", "context 2 2 \\ x"]);
    }

    #[test]
    fn malformed_patches_become_notes() {
        for patch in
            ["", "\n\n", "x", "é", "@", "@@ -1", "@@ -x +y @@\n+a", "@@ -4294967295 +1 @@\n-a\n-b", "\\"]
        {
            for row in diff_rows(patch).rows {
                assert!(row.old.is_none_or(|old| old == u32::MAX), "{patch:?}");
            }
        }
        assert_eq!(shown("@@ -x +y @@\n+a"), ["hunk - - @@ -x +y @@", "added - - a"]);
        assert_eq!(shown("é\n"), ["note - - é"]);
        assert_eq!(shown("@@ -4294967295 +1 @@\n-a\n-b")[2], "removed - - b");
    }

    #[test]
    fn rows_are_bounded() {
        let result = diff_rows(&"+\n".repeat(ROWS_MAX + 5));
        assert!(result.truncated && result.rows.len() == ROWS_MAX);
        assert!(!diff_rows(&"+\n".repeat(ROWS_MAX)).truncated);
    }

    #[test]
    fn hidden_characters_are_marked_in_rows() {
        let result = diff_rows("@@ -1 +1 @@\n+a\u{202e}b\n");
        assert!(result.has_hidden && result.rows[1].html.as_str().contains(">U+202E</span>"));
    }
}
