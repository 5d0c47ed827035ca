//! Configuration: embedded defaults, then `netbit.toml`, then `NETBIT_…` variables, then flags; the last one wins.
//!
//! Nothing needs to be configured. A mistake is answered with its key, where it came from, and what is allowed.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::{Figment, Profile};
use serde::{Deserialize, Deserializer, Serialize};

use super::limits::Limits;
use super::proxies::TrustedProxies;

/// The file read when none is named.
pub const DEFAULT_FILE: &str = "netbit.toml";
const PREFIX: &str = "NETBIT_";
/// Keys that exist without being in the printed defaults.
const SECRET_KEYS: &[&str] = &["auth.secret"];

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub data_dir: DataDirPath,
    pub http: Http,
    pub tcp: Tcp,
    pub udp: Udp,
    pub ops: Ops,
    pub tls: TlsFiles,
    pub cache: Cache,
    pub storage: Storage,
    pub accounts: Accounts,
    pub auth: Auth,
    pub log: Log,
    pub limits: Limits,
}

/// Where everything durable lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataDirPath(pub PathBuf);

impl Default for DataDirPath {
    fn default() -> Self {
        Self(PathBuf::from("./data"))
    }
}

/// An address to listen on; port 0 takes a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Listen(pub SocketAddr);

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|_| {
            serde::de::Error::custom(format!(
                "\"{text}\" is not an address; allowed is IP:PORT, as 127.0.0.1:8080 or [::1]:0"
            ))
        })
    }
}

macro_rules! listener {
    ($name:ident, $port:expr) => {
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            pub listen: Listen,
        }
        impl Default for $name {
            fn default() -> Self {
                Self { listen: Listen(SocketAddr::from(([127, 0, 0, 1], $port))) }
            }
        }
    };
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub listen: Listen,
    /// How people reach this server (`https://git.example.org`), for links; empty: as whoever asks reached it.
    pub public_url: String,
    /// Reverse proxies whose `X-Forwarded-For` is believed, with commas between them.
    pub trusted_proxies: TrustedProxies,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: Listen(SocketAddr::from(([127, 0, 0, 1], 8080))),
            public_url: String::new(),
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

listener!(Tcp, 8081);
listener!(Udp, 8082);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ops {
    pub listen: Listen,
    /// Whether messages between actors are counted and timed. `false` is for measuring what that costs.
    pub measure: bool,
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: Listen(SocketAddr::from(([127, 0, 0, 1], 8083))), measure: true }
    }
}

/// PEM files; both or none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it. Empty: HTTP and chat sessions are not encrypted.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl TlsFiles {
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cache {
    /// Recent messages of a chat that are kept in memory.
    pub window: usize,
    /// Memory for those windows, over all chats; the least recently used ones give way.
    pub max_bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self { window: 100, max_bytes: 256 * 1024 * 1024 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    pub synchronous: Synchronous,
}

/// SQLite's `synchronous` pragma.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Every commit is fsynced: an acknowledgement survives a power cut.
    #[default]
    Full,
    /// Survives the end of the process, but a power cut may take the last commits.
    Normal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    pub registration: Registration,
    /// Whether users may make access tokens that never expire (`"expires_in_days": 0`). The
    /// operator of the machine always may, and tokens that exist keep what they have.
    pub tokens_without_expiry: bool,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { registration: Registration::default(), tokens_without_expiry: true }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Everybody who reaches the server may register.
    #[default]
    Open,
    /// Accounts are made by the operator (`netbit user add`), and the administrator's with the
    /// setup code.
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// Signs access tokens; at least 32 bytes. Made at first start in `secret.key` unless given here.
    #[serde(skip_serializing)]
    pub secret: Option<Secret>,
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// A level (`info`) or a filter (`netbit=debug,info`).
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// What flags say; each one set beats the file and the environment.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file to read instead of [`DEFAULT_FILE`]; it must exist.
    pub file: Option<PathBuf>,
    /// Pairs of key and value.
    pub values: Vec<(&'static str, String)>,
}

/// A mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {key} (from {origin}): {problem}")]
pub struct ConfigError {
    pub key: String,
    pub origin: String,
    pub problem: String,
}

/// The configuration in force, and variables that look like ours but are none.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub unknown_variables: Vec<String>,
}

/// Reads all sources. `environment` is passed in so that tests need not touch the process's own.
pub fn load(overrides: &Overrides, environment: &[(String, String)]) -> Result<Loaded, Vec<ConfigError>> {
    let file = overrides.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    if overrides.file.is_some() && !file.is_file() {
        return Err(vec![ConfigError {
            key: "--config".into(),
            origin: "flag".into(),
            problem: format!("there is no file {}", file.display()),
        }]);
    }
    let known = known_keys();
    let mut unknown_variables = Vec::new();
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if file.is_file() {
        figment = figment.merge(Toml::file_exact(file));
    }
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let key = rest.to_lowercase().replace("__", ".");
        if known.contains(&key) {
            // One provider a variable, so that a mistake names the variable.
            figment = figment.merge(Named {
                source: format!("environment variable {name}"),
                key,
                value: value.clone(),
            });
        } else {
            unknown_variables.push(name.clone());
        }
    }
    for (key, value) in &overrides.values {
        figment =
            figment.merge(Named { source: "flag".to_owned(), key: (*key).to_owned(), value: value.clone() });
    }
    let config: Config =
        figment.extract().map_err(|errors| errors.into_iter().map(|e| explain(&e)).collect::<Vec<_>>())?;
    let problems: Vec<_> = config
        .check()
        .into_iter()
        .map(|(key, problem)| ConfigError { origin: origin(&figment, &key), key, problem })
        .collect();
    if problems.is_empty() { Ok(Loaded { config, unknown_variables }) } else { Err(problems) }
}

impl Config {
    /// What the types cannot say: key and problem of each mistake.
    fn check(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if self.cache.window == 0 || self.cache.window > 10_000 {
            problems.push(("cache.window".to_owned(), "allowed is 1 to 10000 messages".to_owned()));
        }
        if self.tls.certificate.as_os_str().is_empty() != self.tls.key.as_os_str().is_empty() {
            problems.push(("tls.key".to_owned(), "tls.certificate and tls.key belong together".to_owned()));
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
                format!("\"{url}\" is no base URL; allowed is like https://git.example.org, without a path"),
            ));
        }
        if let Err((key, allowed)) = self.limits.check() {
            problems.push((format!("limits.{key}"), format!("allowed is {allowed}")));
        }
        if let Err(problem) = tracing_subscriber::EnvFilter::try_new(&self.log.level) {
            problems.push((
                "log.level".to_owned(),
                format!("{problem}; allowed is off, error, warn, info, debug, trace or a filter like netbit=debug,info"),
            ));
        }
        problems
    }

    /// The effective configuration as a `netbit.toml`, without secrets.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}

/// One key from a place with a name.
struct Named {
    source: String,
    key: String,
    value: String,
}

impl figment::Provider for Named {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<figment::value::Map<Profile, figment::value::Dict>, figment::Error> {
        // figment's own reading of a variable's text: numbers, booleans and quoted strings.
        let value: figment::value::Value = match self.key.as_str() {
            "data_dir" | "auth.secret" | "log.level" => self.value.clone().into(),
            _ => match self.value.parse() {
                Ok(value) => value,
                Err(never) => match never {},
            },
        };
        let dict = figment::util::nest(&self.key, value).into_dict().unwrap_or_default();
        Ok(figment::value::Map::from([(Profile::Default, dict)]))
    }
}

/// Every key there is, as `a.b`.
fn known_keys() -> Vec<String> {
    fn flatten(prefix: &str, value: &figment::value::Value, keys: &mut Vec<String>) {
        match value.as_dict() {
            Some(dict) => {
                for (key, value) in dict {
                    let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    flatten(&path, value, keys);
                }
            }
            None => keys.push(prefix.to_owned()),
        }
    }
    let mut keys: Vec<String> = SECRET_KEYS.iter().map(|key| (*key).to_owned()).collect();
    if let Ok(value) = figment::value::Value::serialize(Config::default()) {
        flatten("", &value, &mut keys);
    }
    keys
}

fn origin(figment: &Figment, key: &str) -> String {
    figment.find_metadata(key).map_or_else(|| "the defaults".to_owned(), describe)
}

fn describe(metadata: &figment::Metadata) -> String {
    match metadata.source.as_ref() {
        Some(figment::Source::File(path)) => path.display().to_string(),
        Some(figment::Source::Code(_)) => "the defaults".to_owned(),
        _ => metadata.name.clone().into_owned(),
    }
}

fn explain(error: &figment::Error) -> ConfigError {
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

/// The process's environment, as [`load`] wants it.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(
        text: &str,
        environment: &[(&str, &str)],
        flags: &[(&'static str, &str)],
    ) -> Result<Loaded, Vec<ConfigError>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("netbit.toml");
        std::fs::write(&file, text).unwrap();
        let environment: Vec<_> =
            environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let values = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        load(&Overrides { file: Some(file), values }, &environment)
    }

    #[test]
    fn without_any_source_the_defaults_hold() {
        let config = with_file("", &[], &[]).unwrap().config;
        assert_eq!(config, Config::default());
        assert_eq!(config.http.listen.0.to_string(), "127.0.0.1:8080");
        assert_eq!(config.data_dir.0, Path::new("./data"));
    }

    #[test]
    fn flags_beat_variables_which_beat_the_file() {
        let file = "[http]\nlisten = \"127.0.0.1:1\"\n[tcp]\nlisten = \"127.0.0.1:1\"\n[ops]\nlisten = \"127.0.0.1:1\"\n";
        let variables = [("NETBIT_HTTP__LISTEN", "127.0.0.1:2"), ("NETBIT_TCP__LISTEN", "127.0.0.1:2")];
        let config = with_file(file, &variables, &[("http.listen", "127.0.0.1:3")]).unwrap().config;
        let ports = [config.http.listen.0.port(), config.tcp.listen.0.port(), config.ops.listen.0.port()];
        assert_eq!(ports, [3, 2, 1]);
    }

    #[test]
    fn a_mistake_names_its_key_its_origin_and_what_is_allowed() {
        let of = |result: Result<Loaded, Vec<ConfigError>>| result.unwrap_err().remove(0).to_string();

        let error = of(with_file("[accounts]\nregistration = \"maybe\"", &[], &[]));
        assert!(error.contains("accounts.registration") && error.contains("netbit.toml"), "{error}");
        assert!(error.contains("`open`") && error.contains("`closed`"), "{error}");

        let error = of(with_file("", &[("NETBIT_HTTP__LISTEN", "everywhere")], &[]));
        assert!(error.contains("http.listen") && error.contains("NETBIT_HTTP__LISTEN"), "{error}");
        assert!(error.contains("127.0.0.1:8080"), "{error}");

        let error = of(with_file("[cache]\nwindow = 0", &[], &[]));
        assert!(
            error.contains("cache.window") && error.contains("netbit.toml") && error.contains("1 to 10000"),
            "{error}"
        );

        let error = of(with_file("", &[("NETBIT_LIMITS__PAGE_MAX", "500")], &[]));
        assert!(error.contains("limits.page_max") && error.contains("NETBIT_LIMITS__PAGE_MAX"), "{error}");
    }

    #[test]
    fn an_unknown_key_in_the_file_is_an_error_an_unknown_variable_a_warning() {
        let error = with_file("[http]\nlissten = \"x\"", &[], &[]).unwrap_err().remove(0);
        assert!(error.key.contains("lissten"), "{error}");
        let loaded = with_file("", &[("NETBIT_COLOUR", "blue"), ("PATH", "/bin")], &[]).unwrap();
        assert_eq!(loaded.unknown_variables, ["NETBIT_COLOUR"]);
    }

    #[test]
    fn the_printed_configuration_reads_back_and_holds_no_secret() {
        let secret = "0123456789abcdef0123456789abcdef";
        let config =
            with_file("", &[("NETBIT_AUTH__SECRET", secret), ("NETBIT_LIMITS__RATES", "false")], &[])
                .unwrap()
                .config;
        assert!(!config.limits.rates);
        assert!(config.auth.secret.is_some());
        let printed = config.to_toml().unwrap();
        assert!(!printed.contains(secret) && !format!("{config:?}").contains(secret));
        let again = with_file(&printed, &[], &[]).unwrap().config;
        assert_eq!(again.limits, config.limits);
    }
}
