//! Enums that are text on the wire or in the database.

/// Defines an enum whose variants have a name each, on the wire or in the database.
///
/// ```text
/// text_enum! {
///     #[derive(Debug, Clone, Copy)]
///     pub enum Kind {
///         Direct = "direct",
///     }
/// }
/// ```
///
/// Always derives `Serialize` and `Deserialize`, also for an enum that is only in the database.
/// Adds `ALL`, `as_str` and `from_name`.
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(serde::Serialize, serde::Deserialize)]
        $visibility enum $name {
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// All variants, in the order of their declaration.
            $visibility const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// Returns the name.
            $visibility fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Returns the variant with this name.
            $visibility fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use text_enum;

#[cfg(test)]
mod tests {
    text_enum! {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Scope {
            Read = "repo:read",
            Admin = "admin",
        }
    }

    #[test]
    fn enum_has_the_same_names_in_json_and_code() {
        for (scope, name) in Scope::ALL.into_iter().zip(["repo:read", "admin"]) {
            assert_eq!(scope.as_str(), name);
            assert_eq!(Scope::from_name(name), Some(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), name);
            assert_eq!(serde_json::from_value::<Scope>(name.into()).unwrap(), scope);
        }
        assert_eq!(Scope::from_name("Admin"), None);
    }
}
