//! The settings, read once. An unknown key is an error, an environment variable overrides a key.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::net::{Address, Cidr};

/// Everything Patchbay is told from outside, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the web server listens.
    pub listen: SocketAddr,
    /// How browsers reach it, without a slash at the end. `https` makes cookies `Secure`.
    pub public_url: String,
    /// Where the database, the key and other state live.
    pub data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`.
    pub database_url: String,
    /// The key secrets are sealed with.
    pub secret_key_file: PathBuf,
    /// Proxies in front whose `X-Forwarded-For` is believed; of anybody else it is not.
    pub trusted_proxies: Vec<Cidr>,
    /// How phones reach Patchbay.
    pub phones: Phones,
    /// How to reach Asterisk.
    pub asterisk: Asterisk,
}

/// How phones reach Patchbay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phones {
    /// Where they fetch their files, without a slash at the end; by default `public_url`. May be
    /// plain `http` for phones that know no current certificate authority.
    pub url: String,
    /// Where TFTP is answered, for phones that know nothing else; by default nowhere.
    pub tftp: Option<SocketAddr>,
}

/// How to reach Asterisk.
#[derive(Clone, PartialEq, Eq)]
pub struct Asterisk {
    /// The directory with Asterisk's own files; Patchbay writes below `patchbay/` in it.
    pub config_dir: PathBuf,
    /// `host:port` of the manager interface.
    pub ami: String,
    /// The manager user.
    pub ami_user: String,
    /// Its secret; `None` means the one `patchbay asterisk install` made and kept in `data_dir`.
    pub ami_secret: Option<String>,
}

impl std::fmt::Debug for Asterisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asterisk")
            .field("config_dir", &self.config_dir)
            .field("ami", &self.ami)
            .field("ami_user", &self.ami_user)
            .finish_non_exhaustive()
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the settings file {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key nobody knows.
    #[error("the settings file {path} is not right")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What and where.
        source: Box<toml::de::Error>,
    },
    /// A value cannot be used.
    #[error("setting {key}: {reason}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<String>,
    public_url: Option<String>,
    data_dir: Option<PathBuf>,
    database_url: Option<String>,
    secret_key_file: Option<PathBuf>,
    trusted_proxies: Option<Vec<String>>,
    phones: PhonesFile,
    asterisk: AsteriskFile,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PhonesFile {
    url: Option<String>,
    tftp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AsteriskFile {
    config_dir: Option<PathBuf>,
    ami: Option<String>,
    ami_user: Option<String>,
    ami_secret: Option<String>,
}

impl Config {
    /// Reads `path`, or `patchbay.toml` when there is one, then the environment through `env`.
    pub fn load(
        path: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let file = match path {
            Some(path) => read(path)?,
            None if Path::new("patchbay.toml").exists() => read(Path::new("patchbay.toml"))?,
            None => File::default(),
        };
        Self::build(file, env)
    }

    fn build(file: File, env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |name: &str, value: Option<String>, default: &str| {
            env(name).or(value).unwrap_or_else(|| default.to_owned())
        };
        let path = |name: &str, value: Option<PathBuf>| env(name).map(PathBuf::from).or(value);

        let listen_text = text("PATCHBAY_LISTEN", file.listen, "127.0.0.1:8080");
        let listen: SocketAddr = listen_text.parse().map_err(|_| ConfigError::Value {
            key: "listen",
            reason: format!("{listen_text:?} is not ADDRESS:PORT, such as 127.0.0.1:8080"),
        })?;
        let data_dir =
            path("PATCHBAY_DATA_DIR", file.data_dir).unwrap_or_else(|| PathBuf::from("data"));
        let database = format!("sqlite:{}", data_dir.join("patchbay.db").display());
        let asterisk = file.asterisk;
        let listening = format!("http://{listen}");
        let browsers = text("PATCHBAY_PUBLIC_URL", file.public_url, &listening);
        let browsers = url("public_url", &browsers)?;
        let phones = text("PATCHBAY_PHONES_URL", file.phones.url, &browsers);
        let proxies = env("PATCHBAY_TRUSTED_PROXIES")
            .map(|list| list.split([',', ' ']).map(str::to_owned).collect())
            .or(file.trusted_proxies);
        Ok(Self {
            listen,
            trusted_proxies: trusted_proxies(&proxies.unwrap_or_default())?,
            phones: Phones {
                url: url("phones.url", &phones)?,
                tftp: tftp(env("PATCHBAY_PHONES_TFTP").or(file.phones.tftp))?,
            },
            public_url: browsers,
            database_url: database_url(text(
                "PATCHBAY_DATABASE_URL",
                file.database_url,
                &database,
            ))?,
            secret_key_file: path("PATCHBAY_SECRET_KEY_FILE", file.secret_key_file)
                .unwrap_or_else(|| data_dir.join("secret.key")),
            data_dir,
            asterisk: Asterisk {
                config_dir: path("PATCHBAY_ASTERISK_CONFIG_DIR", asterisk.config_dir)
                    .unwrap_or_else(|| PathBuf::from("/etc/asterisk")),
                ami: ami(text("PATCHBAY_ASTERISK_AMI", asterisk.ami, "127.0.0.1:5038"))?,
                ami_user: text("PATCHBAY_ASTERISK_AMI_USER", asterisk.ami_user, "patchbay"),
                ami_secret: env("PATCHBAY_ASTERISK_AMI_SECRET").or(asterisk.ami_secret),
            },
        })
    }

    /// Whether browsers reach Patchbay over TLS.
    pub fn secure(&self) -> bool {
        self.public_url.starts_with("https:")
    }
}

fn read(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: source.into() })
}

fn url(key: &'static str, text: &str) -> Result<String, ConfigError> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match host.map(|host| host.trim_end_matches('/')) {
        Some(host) if !host.is_empty() && !host.contains(is_no_host) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(ConfigError::Value {
            key,
            reason: format!("{text:?} is not http(s)://HOST[:PORT] without a path"),
        }),
    }
}

/// What is no part of a host and its port. Some would mean something in the files of phones.
fn is_no_host(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || "/?#@\\\"'<>&{}$;=,".contains(letter)
}

fn trusted_proxies(texts: &[String]) -> Result<Vec<Cidr>, ConfigError> {
    let one = |text: &str| match text.parse::<Address>() {
        Ok(address) => Cidr::new(address, address.family().bits()).ok(),
        Err(_) => text.parse().ok(),
    };
    let named = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let read = |text: &str| {
        one(text).ok_or_else(|| ConfigError::Value {
            key: "trusted_proxies",
            reason: format!("{text:?} is neither an address nor a prefix such as 10.0.0.0/24"),
        })
    };
    named.map(read).collect()
}

fn tftp(text: Option<String>) -> Result<Option<SocketAddr>, ConfigError> {
    let Some(text) = text.filter(|text| !text.is_empty() && text != "off") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| ConfigError::Value {
        key: "phones.tftp",
        reason: format!("{text:?} is not ADDRESS:PORT, such as 0.0.0.0:69, nor off"),
    })
}

fn database_url(text: String) -> Result<String, ConfigError> {
    if ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| text.starts_with(scheme)) {
        return Ok(text);
    }
    // The value is not repeated: it may hold a password.
    Err(ConfigError::Value {
        key: "database_url",
        reason: "use sqlite:PATH or postgres://…".to_owned(),
    })
}

fn ami(text: String) -> Result<String, ConfigError> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text),
        _ => Err(ConfigError::Value {
            key: "asterisk.ami",
            reason: format!("{text:?} is not HOST:PORT, such as 127.0.0.1:5038"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("patchbay.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let config = build("", &[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.public_url, "http://127.0.0.1:8080");
        assert_eq!(config.database_url, "sqlite:data/patchbay.db");
        assert_eq!(config.secret_key_file, Path::new("data/secret.key"));
        assert_eq!(config.asterisk.config_dir, Path::new("/etc/asterisk"));
        assert_eq!(
            (config.asterisk.ami.as_str(), config.asterisk.ami_user.as_str()),
            ("127.0.0.1:5038", "patchbay")
        );
        assert_eq!(config.asterisk.ami_secret, None);
        assert_eq!(config.trusted_proxies, []);
        assert_eq!(config.phones.url, "http://127.0.0.1:8080");
        assert_eq!(config.phones.tftp, None);
    }

    #[test]
    fn phones_are_reached_as_browsers_are_unless_told_otherwise() {
        let file = "public_url = \"https://pbx.example\"\n[phones]\ntftp = \"off\"\n";
        let config = build(file, &[]).unwrap();
        assert_eq!((config.phones.url.as_str(), config.phones.tftp), ("https://pbx.example", None));
        let env =
            [("PATCHBAY_PHONES_URL", "http://10.0.0.5/"), ("PATCHBAY_PHONES_TFTP", "0.0.0.0:69")];
        let config = build(file, &env).unwrap();
        assert_eq!(config.phones.url, "http://10.0.0.5");
        assert_eq!(config.phones.tftp.unwrap().port(), 69);
    }

    #[test]
    fn trusted_proxies_are_addresses_and_prefixes() {
        let file = "trusted_proxies = [\"127.0.0.1\", \"10.1.0.0/16\", \"::1\"]";
        let shown = |config: Config| {
            config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(shown(build(file, &[]).unwrap()), ["127.0.0.1/32", "10.1.0.0/16", "::1/128"]);
        let env = [("PATCHBAY_TRUSTED_PROXIES", "10.2.0.1, 10.3.0.0/24")];
        assert_eq!(shown(build(file, &env).unwrap()), ["10.2.0.1/32", "10.3.0.0/24"]);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let file = "data_dir = \"/srv/p\"\n[asterisk]\nami = \"pbx:5038\"\n";
        let config = build(
            file,
            &[("PATCHBAY_ASTERISK_AMI", "10.0.0.1:5039"), ("PATCHBAY_LISTEN", "[::1]:80")],
        )
        .unwrap();
        assert_eq!(config.asterisk.ami, "10.0.0.1:5039");
        assert_eq!(config.listen.port(), 80);
        assert_eq!(config.database_url, "sqlite:/srv/p/patchbay.db");
    }

    #[test]
    fn every_key_has_its_variable_in_the_environment() {
        let file = "listen = \"127.0.0.1:1\"\npublic_url = \"http://file\"\ndata_dir = \"file\"
            database_url = \"sqlite:file\"\nsecret_key_file = \"file\"
            [asterisk]\nconfig_dir = \"file\"\nami = \"file:1\"\nami_user = \"file\"\nami_secret = \"file\"\n";
        let env = [
            ("PATCHBAY_LISTEN", "127.0.0.1:2"),
            ("PATCHBAY_PUBLIC_URL", "https://env/"),
            ("PATCHBAY_DATA_DIR", "env"),
            ("PATCHBAY_DATABASE_URL", "sqlite:env"),
            ("PATCHBAY_SECRET_KEY_FILE", "env.key"),
            ("PATCHBAY_ASTERISK_CONFIG_DIR", "env.d"),
            ("PATCHBAY_ASTERISK_AMI", "env:2"),
            ("PATCHBAY_ASTERISK_AMI_USER", "me"),
            ("PATCHBAY_ASTERISK_AMI_SECRET", "hunter2"),
        ];
        let told = |env: &[(&str, &str)]| {
            let Config {
                listen,
                public_url,
                data_dir,
                database_url,
                secret_key_file,
                asterisk,
                ..
            } = build(file, env).unwrap();
            let Asterisk { config_dir, ami, ami_user, ami_secret } = asterisk;
            let paths = [data_dir, secret_key_file, config_dir];
            let [data_dir, key, config_dir] = paths.map(|path| path.display().to_string());
            let listen = listen.to_string();
            let told = [listen, public_url, data_dir, database_url, key, config_dir, ami, ami_user];
            told.into_iter().chain(ami_secret).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&[]),
            [
                "127.0.0.1:1",
                "http://file",
                "file",
                "sqlite:file",
                "file",
                "file",
                "file:1",
                "file",
                "file"
            ]
        );
        assert_eq!(
            told(&env),
            [
                "127.0.0.1:2",
                "https://env",
                "env",
                "sqlite:env",
                "env.key",
                "env.d",
                "env:2",
                "me",
                "hunter2"
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        for text in ["lisen = \"x\"", "[asterisk]\nconfig = \"x\"", "[other]\n"] {
            assert!(matches!(build(text, &[]), Err(ConfigError::Syntax { .. })), "{text}");
        }
    }

    #[test]
    fn an_unusable_value_names_its_key_and_not_a_password() {
        let error =
            build("database_url = \"mysql://root:hunter2@db\"", &[]).unwrap_err().to_string();
        assert!(error.contains("database_url") && !error.contains("hunter2"), "{error}");
        for (text, key) in [
            ("listen = \"8080\"", "listen"),
            ("public_url = \"patchbay.example\"", "public_url"),
            ("public_url = \"https://x/y\"", "public_url"),
            ("[asterisk]\nami = \"pbx\"", "asterisk.ami"),
            ("trusted_proxies = [\"proxy\"]", "trusted_proxies"),
            ("[phones]\nurl = \"pbx\"", "phones.url"),
            ("[phones]\nurl = 'http://pbx\"><x'", "phones.url"),
            ("[phones]\ntftp = \"69\"", "phones.tftp"),
        ] {
            assert!(build(text, &[]).unwrap_err().to_string().contains(key), "{text}");
        }
    }
}
