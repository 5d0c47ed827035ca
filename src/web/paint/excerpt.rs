//! The excerpt of a search result, with its matches marked.

use super::SafeHtml;
use super::hidden::Marks;

/// Returns an excerpt, escaped, with `<mark>` around its matches. Hidden characters are marked.
///
/// `highlights` are ranges of characters (Unicode code points). A range that is empty, that
/// overlaps an earlier one or that ends beyond the text is ignored.
pub fn excerpt(text: &str, highlights: &[[usize; 2]]) -> SafeHtml {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let (mut html, mut hidden, mut done) = (String::with_capacity(text.len()), Marks::default(), 0);
    for [from, to] in highlights {
        let (Some(&from), Some(&to)) = (starts.get(*from), starts.get(*to)) else { continue };
        if from < done || to <= from {
            continue;
        }
        hidden.push(&mut html, text, done..from);
        html.push_str("<mark>");
        hidden.push(&mut html, text, from..to);
        html.push_str("</mark>");
        done = to;
    }
    hidden.push(&mut html, text, done..text.len());
    SafeHtml::written(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_are_marked_by_characters() {
        let marked = excerpt("the größe is größe", &[[4, 9], [13, 18]]);
        assert_eq!(marked.as_str(), "the <mark>größe</mark> is <mark>größe</mark>");
        assert_eq!(excerpt("all", &[[0, 3]]).as_str(), "<mark>all</mark>");
        assert_eq!(excerpt("", &[]).as_str(), "");
    }

    #[test]
    fn markup_and_hidden_characters_of_an_excerpt_have_no_effect() {
        let marked = excerpt("<script>a\u{202e}b</mark>", &[[1, 11]]);
        assert_eq!(
            marked.as_str(),
            "&lt;<mark>script&gt;a<span class=\"hidden-char\" title=\"U+202E right-to-left \
             override\">U+202E</span>b</mark>&lt;/mark&gt;"
        );
    }

    #[test]
    fn impossible_ranges_are_ignored() {
        let text = "añb";
        for ranges in [[[2, 1], [9, 10]], [[1, 1], [0, 4]], [[usize::MAX, 0], [3, 3]]] {
            assert_eq!(excerpt(text, &ranges).as_str(), text, "{ranges:?}");
        }
        assert_eq!(excerpt(text, &[[1, 3], [0, 2]]).as_str(), "a<mark>ñb</mark>");
    }
}
