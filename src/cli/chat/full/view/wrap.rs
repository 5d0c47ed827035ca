//! Wrapping of styled text by columns.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// A piece of text in one style, without line feeds.
pub(super) type Piece = (String, Style);

/// Wraps a line at spaces where possible; a word that is wider than a row is broken.
pub(super) fn wrap(pieces: &[Piece], width: usize) -> Vec<Line<'static>> {
    let width = width.max(1);
    let (mut rows, mut row, mut used) = (Vec::new(), Vec::<Span<'static>>::new(), 0);
    for (text, style) in pieces {
        for word in words(text) {
            let columns = word.width();
            if used + columns > width && used > 0 {
                rows.push(Line::from(std::mem::take(&mut row)));
                used = 0;
                // The space at which the line was broken.
                if word.trim().is_empty() {
                    continue;
                }
            }
            if columns <= width {
                push(&mut row, word, *style);
                used += columns;
                continue;
            }
            for cluster in word.graphemes(true) {
                let cluster = if cluster.width() > width { "…" } else { cluster };
                let columns = cluster.width();
                if used + columns > width && used > 0 {
                    rows.push(Line::from(std::mem::take(&mut row)));
                    used = 0;
                }
                push(&mut row, cluster, *style);
                used += columns;
            }
        }
    }
    rows.push(Line::from(row));
    rows
}

/// Returns the words of a text and the white space between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_space = rest.chars().next()?.is_whitespace();
        let end = rest.find(|c: char| c.is_whitespace() != is_space).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(word)
    })
}

/// Appends text to a row; neighbours of one style become one span.
fn push(row: &mut Vec<Span<'static>>, text: &str, style: Style) {
    match row.last_mut() {
        Some(last) if last.style == style => last.content.to_mut().push_str(text),
        _ => row.push(Span::styled(text.to_owned(), style)),
    }
}

/// Returns text of at most `width` columns; an ellipsis marks cut text.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for cluster in text.graphemes(true) {
        used += cluster.width();
        if used > width.saturating_sub(1) {
            break;
        }
        kept.push_str(cluster);
    }
    if width > 0 { kept + "…" } else { kept }
}

/// Returns styled text as a row of at most `width` columns; an ellipsis marks cut text.
pub(super) fn cut_pieces(pieces: &[Piece], width: usize) -> Line<'static> {
    let mut rest: usize = pieces.iter().map(|(text, _)| text.width()).sum();
    let (mut row, mut room) = (Vec::new(), width);
    for (text, style) in pieces {
        let columns = text.width();
        // The last column is for the ellipsis, unless everything fits.
        if rest <= room || columns < room {
            push(&mut row, text, *style);
            (rest, room) = (rest - columns, room - columns);
            continue;
        }
        push(&mut row, &cut(&format!("{text}…"), room), *style);
        break;
    }
    Line::from(row)
}

/// Returns text of exactly `width` columns, cut or filled with spaces.
pub(super) fn fit(text: &str, width: usize) -> String {
    let cut = cut(text, width);
    let missing = width.saturating_sub(cut.width());
    cut + &" ".repeat(missing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &str, width: usize) -> Vec<String> {
        wrap(&[(text.to_owned(), Style::new())], width).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_are_wrapped_at_spaces_and_long_words_are_broken() {
        assert_eq!(rows("one two three", 8), ["one two ", "three"]);
        assert_eq!(rows("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(rows("你好吗", 4), ["你好", "吗"]);
        assert_eq!(rows("", 4), [""]);
        assert_eq!((cut("hello", 4), fit("hé", 4)), ("hel…".to_owned(), "hé  ".to_owned()));
    }

    #[test]
    fn styled_text_is_cut_with_an_ellipsis() {
        let pieces = |texts: &[&str]| -> Vec<Piece> {
            texts.iter().map(|text| ((*text).to_owned(), Style::new())).collect()
        };
        let row = |texts: &[&str], width| cut_pieces(&pieces(texts), width).to_string();
        assert_eq!(row(&["ab", "cd", "ef"], 6), "abcdef");
        assert_eq!(row(&["ab", "cd", "ef"], 5), "abcd…");
        assert_eq!(row(&["ab", "cd", "ef"], 4), "abc…");
        assert_eq!(row(&["ab", "cd", "ef"], 2), "a…");
        assert_eq!(row(&["ab"], 0), "");
    }

    proptest! {
        #[test]
        fn no_row_is_wider_than_the_screen(text in "\\PC{0,60}", width in 2usize..20) {
            for row in rows(&text, width) {
                prop_assert!(row.width() <= width, "{row:?}");
            }
        }
    }
}
