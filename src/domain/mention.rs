//! Mentions: `@name` in what people write.

use std::collections::BTreeSet;

/// The name that stands for everybody in a chat. No user can have it.
pub const EVERYBODY: &str = "all";

/// Finds every `@name` whose `@` does not belong to a word (an address), until there are `max`.
pub fn names_in(text: &str, max: usize, found: &mut BTreeSet<String>) {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if c == '@' && !before.is_alphanumeric() && found.len() < max {
            let rest = text.get(at + 1..).unwrap_or_default();
            let plain =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
            let name: String = rest.chars().take_while(|c| plain(*c)).take(40).collect();
            let name = name.trim_end_matches(['.', '-', '_']);
            if !name.is_empty() {
                found.insert(name.to_owned());
            }
        }
        before = c;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_addresses_are_not() {
        let mut found = BTreeSet::new();
        names_in("Fix it, @bob and (@jean-luc.p). cc carol@example.org @@dora @", 100, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["bob", "dora", "jean-luc.p"]);
    }
}
