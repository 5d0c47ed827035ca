//! Checks that the types of the configuration cannot express.

use super::{Config, check_strength};
use crate::core::database::postgres::Server;
use crate::core::node_address::NodeAddress;

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

impl Config {
    /// Returns the key and the problem of each mistake that the types cannot rule out.
    pub(super) fn check(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if self.cache.window == 0 || self.cache.window > 10_000 {
            problems.push(("cache.window".to_owned(), "allowed: 1 to 10000 messages".to_owned()));
        }
        if self.tls.certificate.as_os_str().is_empty() != self.tls.key.as_os_str().is_empty() {
            problems.push((
                "tls.key".to_owned(),
                "tls.certificate and tls.key belong together; set both or none".to_owned(),
            ));
        }
        let url = &self.http.public_url;
        let parsed = url.parse::<actix_web::http::Uri>();
        let fine = parsed.is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some()
                && uri.path() == "/"
        });
        if !url.is_empty() && (!fine || url.ends_with('/')) {
            problems.push((
                "http.public_url".to_owned(),
                format!("\"{url}\" is not a base URL; allowed: a URL without a path, for example https://git.example.org"),
            ));
        }
        let address = &self.cluster.address;
        if !address.is_empty() && NodeAddress::parse(address).is_none() {
            let problem = format!(
                "\"{address}\" is not the URL of a node; allowed: http://HOST:PORT or https://HOST:PORT"
            );
            problems.push(("cluster.address".to_owned(), problem));
        }
        let name = &self.cluster.name;
        if self.cluster.shared_repositories && !name.bytes().all(is_plain) {
            let problem = format!(
                "\"{name}\" names a folder of cluster.shared_repositories; allowed: letters, digits, - and _"
            );
            problems.push(("cluster.name".to_owned(), problem));
        }
        if let Some(folder) = self.web_dir.as_ref().filter(|folder| !folder.is_dir()) {
            let problem =
                format!("{} is not a folder; allowed: the folder `web` of the sources", folder.display());
            problems.push(("web_dir".to_owned(), problem));
        }
        if let Some(url) = self.database_url()
            && let Err(error) = Server::check(url)
        {
            problems.push(("database".to_owned(), error.to_string()));
        }
        let limits = self.limits.check().into_iter();
        problems
            .extend(limits.map(|(key, allowed)| (format!("limits.{key}"), format!("allowed: {allowed}"))));
        if let Some(Err(problem)) = self.auth.secret.as_ref().map(|secret| check_strength(secret.expose())) {
            problems.push(("auth.secret".to_owned(), problem.to_owned()));
        }
        if tracing_subscriber::EnvFilter::try_new(&self.log.level).is_err() {
            let level = &self.log.level;
            problems.push((
                "log.level".to_owned(),
                format!("\"{level}\" is not a level or filter; allowed: off, error, warn, info, debug, trace or a filter such as netbit=debug,info"),
            ));
        }
        problems
    }
}
