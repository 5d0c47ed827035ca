//! Values for the script of a page, in a `<script type="application/json">`. Browsers do not
//! execute such a block, and the policy of the pages does not forbid it.

use serde::Serialize;

use super::SafeHtml;

/// Returns a value as JSON that cannot end its element: `<` occurs only inside of texts, where
/// `\u003c` is the same character.
pub fn data_block(value: &impl Serialize) -> SafeHtml {
    // Only a map with keys that are not texts cannot be written. Scripts accept `null`.
    let json = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    SafeHtml::written(json.replace('<', "\\u003c"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_block_cannot_end_its_element() {
        let texts = ["</script><script>alert(1)</script>", "<!--", "]]>", "\\<", "\u{2028}&\"'"];
        let block = data_block(&texts);
        assert!(!block.as_str().contains('<'), "{block}");
        assert_eq!(serde_json::from_str::<Vec<String>>(block.as_str()).unwrap(), texts);
    }

    #[test]
    fn value_without_json_becomes_null() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(data_block(&map).as_str(), "null");
    }
}
