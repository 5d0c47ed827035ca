//! Mistakes in the configuration: the key, its source, and the allowed values.

use figment::Figment;

/// A mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {key} (from {origin}): {problem}")]
pub struct ConfigError {
    pub key: String,
    pub origin: String,
    pub problem: String,
}

pub(super) fn origin(figment: &Figment, key: &str) -> String {
    figment.find_metadata(key).map_or_else(|| "the defaults".to_owned(), describe)
}

fn describe(metadata: &figment::Metadata) -> String {
    match metadata.source.as_ref() {
        Some(figment::Source::File(path)) => path.display().to_string(),
        Some(figment::Source::Code(_)) => "the defaults".to_owned(),
        _ => metadata.name.clone().into_owned(),
    }
}

pub(super) fn explain(error: &figment::Error) -> ConfigError {
    let mut key = error.path.join(".");
    if let figment::error::Kind::UnknownField(field, _) = &error.kind
        && error.path.last().is_none_or(|last| last != field)
    {
        key = if key.is_empty() { field.clone() } else { format!("{key}.{field}") };
    }
    ConfigError {
        key: if key.is_empty() { "(file)".to_owned() } else { key },
        origin: error.metadata.as_ref().map_or_else(|| "the defaults".to_owned(), describe),
        problem: error.kind.to_string(),
    }
}
