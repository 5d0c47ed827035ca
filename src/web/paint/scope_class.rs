//! Maps the scopes of syntax definitions to the few classes of the style sheet.

use std::collections::HashMap;

use syntect::parsing::{Scope, ScopeStack};

use super::code::Class;

/// Prefixes of scopes. The longest prefix of a scope decides; `None` shows plain text, also inside
/// of another class.
const PREFIXES: &[(&str, Option<Class>)] = &[
    ("comment", Some(Class::Comment)),
    ("constant", Some(Class::Number)),
    ("constant.character.escape", Some(Class::Number)),
    ("constant.other.symbol", Some(Class::String)),
    ("entity.name", Some(Class::Type)),
    ("entity.name.constant", Some(Class::Number)),
    ("entity.name.function", Some(Class::Function)),
    ("entity.name.label", Some(Class::Variable)),
    ("entity.name.namespace", None),
    ("entity.name.section", Some(Class::Markup)),
    ("entity.name.tag", Some(Class::Keyword)),
    ("entity.other.attribute-name", Some(Class::Attribute)),
    ("entity.other.inherited-class", Some(Class::Type)),
    ("keyword", Some(Class::Keyword)),
    ("keyword.operator", None),
    ("keyword.operator.word", Some(Class::Keyword)),
    ("keyword.operator.logical.python", Some(Class::Keyword)),
    ("markup.bold", Some(Class::Markup)),
    ("markup.deleted", Some(Class::Keyword)),
    ("markup.heading", Some(Class::Markup)),
    ("markup.inserted", Some(Class::String)),
    ("markup.italic", Some(Class::Markup)),
    ("markup.raw", Some(Class::String)),
    ("markup.underline.link", Some(Class::String)),
    ("meta.annotation", Some(Class::Attribute)),
    ("meta.interpolation", None),
    ("meta.template.expression", None),
    ("storage", Some(Class::Keyword)),
    ("storage.type.numeric", Some(Class::Number)),
    ("string", Some(Class::String)),
    ("string.unquoted.heredoc", Some(Class::String)),
    ("string.unquoted.plain", None),
    ("support.class", Some(Class::Type)),
    ("support.constant", Some(Class::Number)),
    ("support.function", Some(Class::Function)),
    ("support.macro", Some(Class::Function)),
    ("support.type", Some(Class::Type)),
    ("support.type.property-name", Some(Class::Attribute)),
    ("variable.annotation", Some(Class::Attribute)),
    ("variable.function", Some(Class::Function)),
    ("variable.language", Some(Class::Keyword)),
    ("variable.other.constant", Some(Class::Number)),
    ("variable.other.member", Some(Class::Variable)),
    ("variable.parameter", Some(Class::Variable)),
    ("variable.type", Some(Class::Type)),
];

/// The class of a scope, if a prefix of the scope is listed.
#[derive(Clone, Copy)]
enum Mapped {
    Unlisted,
    To(Option<Class>),
}

/// Classes of the scopes that occurred in a text. Each scope is looked up once.
#[derive(Default)]
pub(super) struct ScopeClasses(HashMap<Scope, Mapped>);

impl ScopeClasses {
    /// Returns the class of the innermost listed scope.
    pub(super) fn of(&mut self, stack: &ScopeStack) -> Option<Class> {
        for scope in stack.as_slice().iter().rev() {
            let mapped = *self.0.entry(*scope).or_insert_with(|| look_up(&scope.build_string()));
            if let Mapped::To(class) = mapped {
                return class;
            }
        }
        None
    }
}

fn look_up(scope: &str) -> Mapped {
    let is_prefix = |prefix: &str| {
        scope.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let listed = PREFIXES.iter().filter(|(prefix, _)| is_prefix(prefix));
    let longest = listed.max_by_key(|(prefix, _)| prefix.len());
    longest.map_or(Mapped::Unlisted, |(_, class)| Mapped::To(*class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(scopes: &str) -> Option<Class> {
        ScopeClasses::default().of(&scopes.parse().unwrap())
    }

    #[test]
    fn longest_prefix_of_innermost_scope_decides() {
        assert_eq!(class("source.rust comment.line"), Some(Class::Comment));
        assert_eq!(class("source.rust comment.line punctuation.definition"), Some(Class::Comment));
        assert_eq!(class("source.rust keyword.operator.assignment"), None);
        assert_eq!(class("source.python keyword.operator.word"), Some(Class::Keyword));
        assert_eq!(class("source.js string.quoted meta.interpolation"), None);
        assert_eq!(
            class("source.js string.quoted meta.interpolation variable.function"),
            Some(Class::Function)
        );
        assert_eq!(class("source.rust stringy"), None);
    }
}
