//! Reads the sources of the configuration.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::value::Value;
use figment::{Figment, Profile, Provider};

use super::mistake::{explain, origin};
use super::{Config, ConfigError};

/// The file read when no file is named.
pub const DEFAULT_FILE: &str = "netbit.toml";
const PREFIX: &str = "NETBIT_";
/// Keys that exist without being in the printed defaults.
const UNPRINTED_KEYS: &[&str] =
    &["auth.secret", "bus", "database", "database_replicas", "files.s3.secret_access_key", "web_dir"];

/// The keys of `files.s3` that are not texts.
const BOOLEANS_OF_S3: [&str; 2] = ["files.s3.allow_http", "files.s3.path_style"];

/// Renamed keys: the earlier and the current name. The earlier name is still read.
const RENAMED_KEYS: &[(&str, &str)] =
    &[("limits.mirror_facts", "limits.writer_cache_entries"), ("cluster.preview", "cluster.enabled")];

/// A key that is set under its earlier name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenamedKey {
    pub old: &'static str,
    pub new: &'static str,
    /// The file or the variable that sets it.
    pub origin: String,
}

impl std::fmt::Display for RenamedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { old, new, origin } = self;
        write!(f, "configuration: {old} (from {origin}) was renamed; set {new} instead")
    }
}

/// Values of command-line flags. Each overrides the file and the environment.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file to read instead of [`DEFAULT_FILE`]; it must exist.
    pub file: Option<PathBuf>,
    /// Pairs of key and value.
    pub values: Vec<(&'static str, String)>,
}

/// The effective configuration, and variables with the prefix `NETBIT_` that are not a key.
#[derive(Debug)]
pub struct LoadedConfig {
    pub config: Config,
    pub unknown_variables: Vec<String>,
    pub renamed_keys: Vec<RenamedKey>,
}

/// Reads all sources. Tests pass an `environment` instead of changing the process's.
///
/// # Errors
/// Returns all mistakes of all sources together.
pub fn load(
    overrides: &Overrides,
    environment: &[(String, String)],
) -> Result<LoadedConfig, Vec<ConfigError>> {
    let mut mistakes = Vec::new();
    let mut unknown_variables = Vec::new();
    let mut renamed_keys = Vec::new();
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    match file(overrides.file.as_deref()) {
        Ok(Some(mut file)) => {
            renamed_keys.append(&mut file.renamed_keys);
            figment = figment.merge(file);
        }
        Ok(None) => {}
        Err(mistake) => mistakes.push(mistake),
    }
    let known = flatten(Value::serialize(Config::default()).ok());
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let key = rest.to_lowercase().replace("__", ".");
        if known.contains(&key) || UNPRINTED_KEYS.contains(&key.as_str()) {
            // One provider per variable, so that a mistake names the variable.
            figment = figment.merge(Named::text(format!("environment variable {name}"), &key, value));
        } else if let Some((old, new)) = RENAMED_KEYS.iter().find(|(old, _)| *old == key) {
            let origin = format!("environment variable {name}");
            figment = figment.merge(Named::text(origin.clone(), new, value));
            renamed_keys.push(RenamedKey { old, new, origin });
        } else {
            unknown_variables.push(name.clone());
        }
    }
    for (key, value) in &overrides.values {
        let flag = format!("flag --{}", key.replace(['.', '_'], "-"));
        figment = figment.merge(Named::text(flag, key, value));
    }
    let config = read(&figment, &mut mistakes);
    for (key, problem) in config.check() {
        if mistakes.iter().all(|mistake| mistake.key != key) {
            mistakes.push(ConfigError { origin: origin(&figment, &key), key, problem });
        }
    }
    if mistakes.is_empty() {
        Ok(LoadedConfig { config, unknown_variables, renamed_keys })
    } else {
        Err(mistakes)
    }
}

/// Reads the named file, or the default one if it exists.
fn file(named: Option<&Path>) -> Result<Option<FileValues>, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    if !path.is_file() {
        let problem = format!("the file {} does not exist", path.display());
        let missing = ConfigError { key: "--config".into(), origin: "the command line".into(), problem };
        return if named.is_some() { Err(missing) } else { Ok(None) };
    }
    let file = Toml::file_exact(path);
    match file.data() {
        Ok(values) => Ok(Some(FileValues::new(file.metadata(), values, path))),
        Err(error) => Err(ConfigError { origin: path.display().to_string(), ..explain(&error) }),
    }
}

/// Returns the configuration of all valid values. Extracting it as a whole stops at the first
/// mistake. Then each value that differs from the defaults is tried separately.
fn read(figment: &Figment, mistakes: &mut Vec<ConfigError>) -> Config {
    if let Ok(config) = figment.extract() {
        return config;
    }
    let mut right = Figment::from(Serialized::defaults(Config::default()));
    for key in flatten(figment.find_value("").ok()) {
        let Ok(value) = figment.find_value(&key) else { continue };
        if right.find_value(&key).is_ok_and(|default| default == value) {
            continue;
        }
        let with = right.clone().merge(Named { source: String::new(), key: key.clone(), value });
        match with.extract::<Config>() {
            Ok(_) => right = with,
            Err(error) => {
                let origin = origin(figment, &key);
                mistakes.push(ConfigError { origin, key, ..explain(&error) });
            }
        }
    }
    right.extract().unwrap_or_default()
}

/// Holds the values of the file under the current names of their keys.
struct FileValues {
    metadata: figment::Metadata,
    values: figment::value::Map<Profile, figment::value::Dict>,
    renamed_keys: Vec<RenamedKey>,
}

impl FileValues {
    fn new(
        metadata: figment::Metadata,
        mut values: figment::value::Map<Profile, figment::value::Dict>,
        path: &Path,
    ) -> Self {
        let mut renamed_keys = Vec::new();
        for (old, new) in RENAMED_KEYS {
            for dict in values.values_mut() {
                if rename(dict, old, new) {
                    renamed_keys.push(RenamedKey { old, new, origin: path.display().to_string() });
                }
            }
        }
        Self { metadata, values, renamed_keys }
    }
}

impl Provider for FileValues {
    fn metadata(&self) -> figment::Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<figment::value::Map<Profile, figment::value::Dict>, figment::Error> {
        Ok(self.values.clone())
    }
}

/// Moves the value of `old` to `new`, unless `new` has a value; both are keys of one section.
/// Returns whether `old` is set.
fn rename(dict: &mut figment::value::Dict, old: &str, new: &str) -> bool {
    let (Some((section, old)), Some((_, new))) = (old.split_once('.'), new.split_once('.')) else {
        return false;
    };
    let Some(Value::Dict(_, keys)) = dict.get_mut(section) else { return false };
    let Some(value) = keys.remove(old) else { return false };
    keys.entry(new.to_owned()).or_insert(value);
    true
}

/// One key from a named source.
struct Named {
    source: String,
    key: String,
    value: Value,
}

impl Named {
    /// Returns a value that was written as text, in a variable or a flag.
    fn text(source: String, key: &str, text: &str) -> Self {
        // figment's own parsing of a variable's text: numbers, booleans and quoted strings.
        let value = match key {
            "bus" | "cluster.name" | "cluster.address" | "data_dir" | "database" | "database_replicas"
            | "web_dir" | "auth.secret" | "log.level" | "udp.public_address" => text.to_owned().into(),
            // A key of digits is a text, too.
            key if key.starts_with("files.s3.") && !BOOLEANS_OF_S3.contains(&key) => text.to_owned().into(),
            _ => match text.parse() {
                Ok(value) => value,
                Err(never) => match never {},
            },
        };
        Self { source, key: key.to_owned(), value }
    }
}

impl Provider for Named {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<figment::value::Map<Profile, figment::value::Dict>, figment::Error> {
        let dict = figment::util::nest(&self.key, self.value.clone()).into_dict().unwrap_or_default();
        Ok(figment::value::Map::from([(Profile::Default, dict)]))
    }
}

/// Returns every key below the value, as `a.b`.
fn flatten(value: Option<Value>) -> Vec<String> {
    fn walk(prefix: &str, value: &Value, keys: &mut Vec<String>) {
        match value.as_dict() {
            Some(dict) => {
                for (key, value) in dict {
                    let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                    walk(&path, value, keys);
                }
            }
            None => keys.push(prefix.to_owned()),
        }
    }
    let mut keys = Vec::new();
    if let Some(value) = value {
        walk("", &value, &mut keys);
    }
    keys
}

/// Returns the process's environment, in the form that [`load`] takes.
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
    ) -> Result<LoadedConfig, Vec<ConfigError>> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("netbit.toml");
        std::fs::write(&file, text).unwrap();
        let environment: Vec<_> =
            environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let values = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        load(&Overrides { file: Some(file), values }, &environment)
    }

    #[test]
    fn defaults_hold_without_any_source() {
        let config = with_file("", &[], &[]).unwrap().config;
        assert_eq!(config, Config::default());
        assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.data_dir.0, Path::new("./data"));
    }

    #[test]
    fn flags_override_variables_which_override_the_file() {
        let file = "[http]\nlisten = \"127.0.0.1:1\"\n[tcp]\nlisten = \"127.0.0.1:1\"\n[ops]\nlisten = \"127.0.0.1:1\"\n";
        let variables = [("NETBIT_HTTP__LISTEN", "127.0.0.1:2"), ("NETBIT_TCP__LISTEN", "127.0.0.1:2")];
        let config = with_file(file, &variables, &[("http.listen", "127.0.0.1:3")]).unwrap().config;
        let listeners = [config.http.listen, config.tcp.listen, config.ops.listen];
        assert_eq!(listeners.map(|at| at.to_string()), ["127.0.0.1:3", "127.0.0.1:2", "127.0.0.1:1"]);
    }

    #[test]
    fn mistake_names_key_origin_and_allowed_values() {
        let of = |result: Result<LoadedConfig, Vec<ConfigError>>| result.unwrap_err().remove(0).to_string();

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
    fn all_mistakes_are_named_at_once_with_their_sources() {
        let file = "[cache]\nwindow = 0\n[http]\nlissten = \"x\"\nlisten = 5\n[limits]\nreaders = 0\npage_max = \"many\"\n";
        let variables = [("NETBIT_AUTH__SECRET", "short"), ("NETBIT_STORAGE__SYNCHRONOUS", "sometimes")];
        let mistakes = with_file(file, &variables, &[("tcp.listen", "nowhere")]).unwrap_err();
        let mut found: Vec<_> = mistakes
            .iter()
            .map(|mistake| (&*mistake.key, mistake.origin.rsplit('/').next().unwrap_or_default()))
            .collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("auth.secret", "environment variable NETBIT_AUTH__SECRET"),
                ("cache.window", "netbit.toml"),
                ("http.lissten", "netbit.toml"),
                ("http.listen", "netbit.toml"),
                ("limits.page_max", "netbit.toml"),
                ("limits.readers", "netbit.toml"),
                ("storage.synchronous", "environment variable NETBIT_STORAGE__SYNCHRONOUS"),
                ("tcp.listen", "flag --tcp-listen"),
            ]
        );
        // A file that cannot be parsed at all does not hide the other mistakes.
        let mistakes = with_file("[http\n", &[("NETBIT_LIMITS__READERS", "0")], &[]).unwrap_err();
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    }

    #[test]
    fn unknown_key_is_an_error_and_unknown_variable_a_warning() {
        let error = with_file("[http]\nlissten = \"x\"", &[], &[]).unwrap_err().remove(0);
        assert!(error.key.contains("lissten"), "{error}");
        let loaded = with_file("", &[("NETBIT_COLOUR", "blue"), ("PATH", "/bin")], &[]).unwrap();
        assert_eq!(loaded.unknown_variables, ["NETBIT_COLOUR"]);
    }

    #[test]
    fn renamed_key_is_read_under_its_earlier_name_with_a_warning() {
        let file = "[limits]\nmirror_facts = 7\n";
        let loaded = with_file(file, &[], &[]).unwrap();
        assert_eq!(loaded.config.limits.writer_cache_entries, 7);
        let [renamed] = &loaded.renamed_keys[..] else { panic!("{:?}", loaded.renamed_keys) };
        let warning = renamed.to_string();
        assert!(
            warning.contains("netbit.toml") && warning.contains("limits.writer_cache_entries"),
            "{warning}"
        );

        let variables = [("NETBIT_LIMITS__MIRROR_FACTS", "8")];
        let loaded = with_file("", &variables, &[]).unwrap();
        assert_eq!(loaded.config.limits.writer_cache_entries, 8);
        assert_eq!(loaded.renamed_keys[0].origin, "environment variable NETBIT_LIMITS__MIRROR_FACTS");
        assert!(loaded.unknown_variables.is_empty());

        let both = "[limits]\nmirror_facts = 7\nwriter_cache_entries = 9\n";
        let loaded = with_file(both, &[], &[]).unwrap();
        assert_eq!(loaded.config.limits.writer_cache_entries, 9, "the current name wins");
        assert_eq!(loaded.renamed_keys.len(), 1);

        let mistake = with_file("[limits]\nmirror_facts = \"many\"\n", &[], &[]).unwrap_err().remove(0);
        assert!(
            mistake.key == "limits.writer_cache_entries" && mistake.origin.ends_with("netbit.toml"),
            "{mistake}"
        );
    }

    #[test]
    fn cluster_of_the_preview_is_enabled_under_its_new_name() {
        let database = ("NETBIT_DATABASE", "postgres://netbit@db.example.org/netbit");
        let of = |file: &str, variables: &[(&str, &str)]| {
            let loaded = with_file(file, &[&[database][..], variables].concat(), &[]).unwrap();
            assert!(loaded.unknown_variables.is_empty());
            let renamed: Vec<_> =
                loaded.renamed_keys.iter().map(|renamed| (renamed.old, renamed.new)).collect();
            (loaded.config.cluster.enabled, renamed)
        };
        let renamed = vec![("cluster.preview", "cluster.enabled")];
        assert_eq!(of("[cluster]\npreview = true\n", &[]), (true, renamed.clone()));
        assert_eq!(of("", &[("NETBIT_CLUSTER__PREVIEW", "true")]), (true, renamed.clone()));
        assert_eq!(of("[cluster]\npreview = true\nenabled = false\n", &[]), (false, renamed));
        assert_eq!(of("[cluster]\nenabled = true\n", &[]), (true, Vec::new()));
        let mistake = with_file("[cluster]\npreview = true\n", &[], &[]).unwrap_err().remove(0);
        assert!(mistake.key == "cluster.enabled" && mistake.origin.ends_with("netbit.toml"), "{mistake}");
    }

    #[test]
    fn printed_configuration_reads_back_without_secret() {
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
