//! The section `files`: where the bytes of files are stored.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    pub store: FileStore,
    /// The bucket of `store = "s3"`.
    pub s3: S3,
}

/// Where bytes of files are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileStore {
    /// `files` in the data directory.
    #[default]
    Disk,
    /// A bucket of an S3-compatible store.
    S3,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// The URL of the store (`https://s3.example.org`). Empty: that of Amazon for the region.
    pub endpoint: String,
    pub bucket: String,
    pub region: String,
    /// The beginning of all keys. Servers with databases of their own need different ones.
    pub prefix: String,
    pub access_key_id: String,
    #[serde(skip_serializing)]
    pub secret_access_key: Option<Secret>,
    /// Whether the bucket is in the path of URLs, not in the name of the host.
    pub path_style: bool,
    /// Whether the endpoint may be one without TLS.
    pub allow_http: bool,
    /// A PEM file of the authorities that the endpoint is trusted by. Empty: those of the machine.
    pub certificates: PathBuf,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            bucket: String::new(),
            region: "us-east-1".to_owned(),
            prefix: "netbit".to_owned(),
            access_key_id: String::new(),
            secret_access_key: None,
            path_style: true,
            allow_http: false,
            certificates: PathBuf::new(),
        }
    }
}

impl S3 {
    /// Returns the URL of the store, or of the bucket if its name is in that of the host.
    pub fn endpoint_of_bucket(&self) -> String {
        match self.endpoint.split_once("://") {
            Some((scheme, host)) if !self.path_style => format!("{scheme}://{}.{host}", self.bucket),
            _ => self.endpoint.clone(),
        }
    }
}

impl Files {
    /// Returns the key and the problem of each mistake in the bucket, whichever store is in use.
    pub fn bucket_mistakes(&self) -> Vec<(String, String)> {
        Self { store: FileStore::S3, ..self.clone() }.check()
    }

    /// Returns the key and the problem of each mistake that the types cannot rule out.
    pub(super) fn check(&self) -> Vec<(String, String)> {
        let s3 = &self.s3;
        let mut problems = Vec::new();
        let mut add = |key: &str, problem: &str| {
            problems.push((format!("files.s3.{key}"), problem.to_owned()));
        };
        if self.store == FileStore::S3 {
            let needed = "files.store = \"s3\" needs it; set it";
            let secret = s3.secret_access_key.as_ref().map_or("", |secret| secret.expose());
            let given = [
                ("bucket", s3.bucket.as_str()),
                ("region", &s3.region),
                ("access_key_id", &s3.access_key_id),
                ("secret_access_key", secret),
            ];
            given.iter().filter(|(_, value)| value.is_empty()).for_each(|(key, _)| add(key, needed));
        }
        if !s3.endpoint.is_empty() {
            let parsed = s3.endpoint.parse::<hyper::Uri>().ok();
            let parsed = parsed.filter(|uri| uri.authority().is_some() && uri.path() == "/");
            match parsed.as_ref().and_then(|uri| uri.scheme_str()) {
                Some("https") if !s3.endpoint.ends_with('/') => {}
                Some("http") if !s3.endpoint.ends_with('/') && s3.allow_http => {}
                Some("http") if !s3.endpoint.ends_with('/') => {
                    add("endpoint", "the endpoint has no TLS; use https://, or set files.s3.allow_http");
                }
                _ => add("endpoint", "allowed: a URL without a path, for example https://s3.example.org"),
            }
        }
        if object_store::path::Path::parse(&s3.prefix).is_err() || s3.prefix.is_empty() {
            add("prefix", "allowed: names separated by single slashes, for example netbit or teams/netbit");
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_needs_a_name_a_key_and_tls() {
        let with = |change: &dyn Fn(&mut S3)| {
            let mut files = Files { store: FileStore::S3, ..Files::default() };
            files.s3.bucket = "files".to_owned();
            files.s3.access_key_id = "id".to_owned();
            files.s3.secret_access_key = Some("key".to_owned().into());
            change(&mut files.s3);
            let mistakes = files.check().into_iter();
            mistakes.map(|(key, _)| key.trim_start_matches("files.s3.").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(with(&|_| ()), [""; 0]);
        assert_eq!(with(&|s3| s3.bucket.clear()), ["bucket"]);
        assert_eq!(with(&|s3| s3.secret_access_key = None), ["secret_access_key"]);
        let endpoint = |url: &'static str, allow_http| {
            with(&move |s3| {
                s3.endpoint = url.to_owned();
                s3.allow_http = allow_http;
            })
        };
        for right in ["https://s3.example.org", "https://[2001:db8::1]:9000"] {
            assert_eq!(endpoint(right, false), [""; 0], "{right}");
        }
        assert_eq!(endpoint("http://127.0.0.1:9000", true), [""; 0]);
        for wrong in ["http://127.0.0.1:9000", "s3.example.org", "https://s3.example.org/", "ftp://x"] {
            assert_eq!(endpoint(wrong, false), ["endpoint"], "{wrong}");
        }
        for wrong in ["", "a//b", "/a/../b"] {
            assert_eq!(with(&|s3| wrong.clone_into(&mut s3.prefix)), ["prefix"], "{wrong}");
        }
        assert_eq!(Files::default().check(), []);
    }

    #[test]
    fn bucket_is_in_the_path_or_in_the_host() {
        let mut s3 = S3 { endpoint: "https://s3.example.org:9000".to_owned(), ..S3::default() };
        s3.bucket = "files".to_owned();
        assert_eq!(s3.endpoint_of_bucket(), "https://s3.example.org:9000");
        s3.path_style = false;
        assert_eq!(s3.endpoint_of_bucket(), "https://files.s3.example.org:9000");
    }
}
