//! Origins other than the server's own whose pages may use it (`http.allowed_origins`).
//!
//! Their pages authenticate with a token that the page sends itself, never with a cookie. Answers
//! to them do not carry `Access-Control-Allow-Credentials`.

use serde::{Deserialize, Deserializer, Serialize};

/// Origins as browsers and apps send them (RFC 6454, section 6.1), in lower case. Empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    /// Returns the origins, or the first text that is not one.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, &'a str> {
        texts.into_iter().map(|text| parse(text).ok_or(text)).collect::<Result<_, _>>().map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

/// Parses `scheme://authority` without path, in the form that clients send: without the default
/// port. An authority may be empty (`file://`). Refuses `*` and `null`, which any page can have.
fn parse(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_plain = authority.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let needs_host = matches!(scheme, "http" | "https");
    if !is_scheme || !is_plain || needs_host && authority.is_empty() {
        return None;
    }
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return Some(text),
    };
    Some(text.strip_suffix(default_port).unwrap_or(&text).to_owned())
}

/// A list, or a text with commas, as environment variables have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    List(Vec<String>),
    Text(String),
}

impl<'de> Deserialize<'de> for AllowedOrigins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = match Form::deserialize(deserializer)? {
            Form::List(list) => list,
            Form::Text(text) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
            }
        };
        Self::parse(texts.iter().map(String::as_str)).map_err(|text| {
            serde::de::Error::custom(format!(
                "\"{text}\" is not an origin; allowed: a list such as [\"https://app.example.org\", \"app://x\"], \
                 without paths, `*` and `null`"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::{self, Overrides};

    #[test]
    fn origin_is_compared_as_it_is_sent() {
        let listed = ["https://App.example.org:443", "http://localhost:5173", "app://x", "file://"];
        let origins = AllowedOrigins::parse(listed).unwrap();
        for sent in ["https://app.example.org", "http://localhost:5173", "app://x", "APP://X", "file://"] {
            assert!(origins.contains(sent), "{sent}");
        }
        for other in
            ["https://example.org", "http://app.example.org", "http://localhost", "app://", "null", ""]
        {
            assert!(!origins.contains(other), "{other}");
        }
    }

    #[test]
    fn origins_are_a_list_or_a_text_with_commas() {
        let dir = tempfile::tempdir().unwrap();
        let loaded = |text: &str, environment: &[(&str, &str)]| {
            let file = dir.path().join("netbit.toml");
            std::fs::write(&file, text).unwrap();
            let environment: Vec<_> =
                environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            config::load(&Overrides { file: Some(file), values: Vec::new() }, &environment)
                .map(|loaded| loaded.config)
        };
        let file = "[http]\nallowed_origins = [\"app://x\", \"https://app.example.org\"]";
        let from_file = loaded(file, &[]).unwrap();
        let variable = [("NETBIT_HTTP__ALLOWED_ORIGINS", "app://x, https://app.example.org")];
        assert_eq!(from_file.http, loaded("", &variable).unwrap().http);
        assert!(from_file.http.allowed_origins.contains("app://x"));
        assert_eq!(loaded(&from_file.to_toml().unwrap(), &[]).unwrap().http, from_file.http);
        let error = loaded("[http]\nallowed_origins = [\"*\"]", &[]).unwrap_err().remove(0);
        assert!(error.key == "http.allowed_origins" && error.problem.contains("app://x"), "{error}");
    }

    #[test]
    fn invalid_origin_is_refused() {
        for bad in [
            "*",
            "null",
            "",
            "example.org",
            "https://",
            "https://*.example.org",
            "https://a.example/path",
            "https://a.example/",
            "https://user@a.example",
            "://x",
            "1a://x",
            "app://x y",
        ] {
            assert_eq!(AllowedOrigins::parse([bad]), Err(bad));
        }
    }
}
