//! Checks that the types of the configuration cannot express.

use std::net::Ipv6Addr;

use super::{Config, check_strength};
use crate::core::bus::Target;
use crate::core::database::postgres::Server;
use crate::core::node_address::NodeAddress;

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// Returns whether the text is a name or an address of a host and a port, as clients parse it.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_name = |byte: u8| is_plain(byte) || byte == b'.';
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && host.bytes().all(is_name),
    };
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && is_number && port.parse::<u16>().is_ok_and(|port| port > 0)
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
        if self.database_url().is_none() {
            let keys = [
                ("cluster.enabled", self.cluster.enabled),
                ("cluster.address", !address.is_empty()),
                ("cluster.shared_repositories", self.cluster.shared_repositories),
            ];
            // With a database of its own, the node would serve an empty server to some users.
            let problem = "nodes share a database of PostgreSQL, and none is set; set database too \
                           (or the variable NETBIT_DATABASE)";
            let set = keys.into_iter().filter(|(_, is_set)| *is_set);
            problems.extend(set.map(|(key, _)| (key.to_owned(), problem.to_owned())));
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
        if let Some(url) = self.replicas_url() {
            if let Err(error) = Server::check(url) {
                problems.push(("database_replicas".to_owned(), error.to_string()));
            } else if self.database_url().is_none() {
                let problem = "replicas are copies of a database of PostgreSQL; set database too";
                problems.push(("database_replicas".to_owned(), problem.to_owned()));
            }
        }
        if let Some(url) = self.bus_url() {
            if let Err(error) = Target::of(url) {
                problems.push(("bus".to_owned(), error.to_string()));
            } else if self.database_url().is_none() || !self.cluster.enabled {
                let problem = "a bus connects nodes of one database; set database and cluster.enabled too";
                problems.push(("bus".to_owned(), problem.to_owned()));
            }
        }
        let public = &self.udp.public_address;
        if !public.is_empty() && !is_host_and_port(public) {
            let problem = format!(
                "\"{public}\" is not an address; allowed: HOST:PORT without spaces, an IPv6 address in brackets, \
                 for example udp-1.example.org:8082 or [2001:db8::1]:8082"
            );
            problems.push(("udp.public_address".to_owned(), problem));
        }
        problems.extend(self.files.check());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(change: impl FnOnce(&mut Config)) -> Vec<String> {
        let mut config = Config::default();
        change(&mut config);
        config.check().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn bus_needs_a_readable_url_and_a_cluster() {
        let with = |bus: &str, database: &str, enabled| {
            mistakes(|config| {
                config.bus = Some(bus.to_owned().into());
                config.database = Some(database.to_owned().into());
                config.cluster.enabled = enabled;
            })
        };
        let database = "postgres://netbit@db.example.org/netbit";
        assert_eq!(with("redis://cache.example.org", database, true), [""; 0]);
        assert_eq!(with("", "", false), [""; 0]);
        assert_eq!(with("redis://cache.example.org", database, false), ["bus"]);
        assert_eq!(with("redis://cache.example.org", "", true), ["cluster.enabled", "bus"]);
        assert_eq!(with("amqp://cache.example.org", database, true), ["bus"]);
    }

    /// A node without the URL started on an empty database of its own, ready and with open
    /// registration: a balancer sent users there.
    #[test]
    fn settings_of_a_cluster_need_a_database() {
        let with = |database: &str| {
            let mut config = Config { database: Some(database.to_owned().into()), ..Config::default() };
            config.cluster.name = "a".to_owned();
            config.cluster.enabled = true;
            config.cluster.address = "http://a.example.org:8080".to_owned();
            config.cluster.shared_repositories = true;
            config.check()
        };
        assert_eq!(with("postgres://netbit@db.example.org/netbit"), []);
        let (keys, sentences): (Vec<_>, Vec<_>) = with("").into_iter().unzip();
        assert_eq!(keys, ["cluster.enabled", "cluster.address", "cluster.shared_repositories"]);
        assert!(sentences.iter().all(|sentence| sentence.contains("NETBIT_DATABASE")), "{sentences:?}");
        assert_eq!(mistakes(|config| config.cluster.name = "a".to_owned()), [""; 0]);
    }

    #[test]
    fn public_address_of_udp_is_a_host_and_a_port() {
        let with = |address: &str| mistakes(|config| config.udp.public_address = address.to_owned());
        for right in ["", "udp-1.example.org:8082", "192.0.2.1:8082", "[2001:db8::1]:8082"] {
            assert_eq!(with(right), [""; 0], "{right}");
        }
        for wrong in [
            "udp-1.example.org",
            ":8082",
            "192.0.2.1:0",
            "192.0.2.1:port",
            "192.0.2.1:+8082",
            "192.0.2.1:",
            "2001:db8::1:8082",
            "[2001:db8::1]",
            "[2001:db8::x]:8082",
            "[192.0.2.1]:8082",
            " udp-1.example.org:8082",
            "udp 1.example.org:8082",
            "udp-1.example.org:8082 ",
            "udp-1.example.org:8082\n",
            "udp://udp-1.example.org:8082",
        ] {
            assert_eq!(with(wrong), ["udp.public_address"], "{wrong}");
        }
    }
}
