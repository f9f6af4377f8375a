//! JSON over HTTP with a server that was checked: the name is resolved once, its addresses are
//! checked, and the connection goes to one of exactly those. No redirect is followed, no proxy
//! used, five seconds waited and a mebibyte read, unless more is asked for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Method, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use super::guard::{Allowed, is_host_name};
use super::{Fault, Key};

/// How long a call may take, from connecting to the last byte.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes usually read of an answer.
pub const MOST: usize = 1 << 20;

/// Where a server is: `https://host`, with a port and a path if need be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why an address of a server is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadBaseUrl {
    /// Not one of HTTP.
    #[error("write it as https://host, with :port and a path if there is one")]
    Form,
    /// With a name and a password, a question mark or a fragment.
    #[error("leave out user names, passwords, ? and #; credentials have their own fields")]
    Parts,
    /// Too long.
    #[error("use at most 200 characters")]
    Long,
}

impl FromStr for BaseUrl {
    type Err = BadBaseUrl;

    fn from_str(text: &str) -> Result<Self, BadBaseUrl> {
        if text.len() > 200 {
            return Err(BadBaseUrl::Long);
        }
        if text.chars().any(|c| !c.is_ascii_graphic() || c == '\\') {
            return Err(BadBaseUrl::Form);
        }
        let url: Url = text.parse().map_err(|_| BadBaseUrl::Form)?;
        if !url.username().is_empty()
            || url.password().is_some()
            || Url::query(&url).is_some()
            || url.fragment().is_some()
        {
            return Err(BadBaseUrl::Parts);
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let known = host.parse::<IpAddr>().is_ok() || is_host_name(host);
        if matches!(url.scheme(), "http" | "https") && known {
            Ok(Self(url))
        } else {
            Err(BadBaseUrl::Form)
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl BaseUrl {
    /// The host as it was typed, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The port, the scheme's own if none was typed.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }

    fn at(&self, path: &str) -> Result<Url, Fault> {
        let whole = format!("{self}{path}");
        whole.parse().map_err(|_| Fault::Never("the address of the server cannot be used".into()))
    }
}

/// How names become addresses. Tests bring their own.
#[derive(Clone)]
pub struct Resolver(Arc<dyn Fn(String, u16) -> BoxFuture<'static, Vec<SocketAddr>> + Send + Sync>);

impl Resolver {
    /// The machine's.
    pub fn system() -> Self {
        Self::of(|host, port| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host, port)).await;
                found.map(Iterator::collect).unwrap_or_default()
            })
        })
    }

    /// One that answers whatever `find` does.
    pub fn of(
        find: impl Fn(String, u16) -> BoxFuture<'static, Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(find))
    }

    /// The addresses of `host`; those that are one already need no asking.
    pub async fn find(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::time::timeout(PATIENCE, (self.0)(host.to_owned(), port))
                .await
                .unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// With what a server is told who calls.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// Nothing.
    #[default]
    None,
    /// A name and a password.
    Basic(String, Key),
    /// The whole value of the `Authorization` header.
    Header(Key),
}

/// Certificates of authorities, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities(String);

/// Not PEM certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "paste one or more certificates, each from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"
)]
pub struct BadAuthorities;

impl FromStr for Authorities {
    type Err = BadAuthorities;

    fn from_str(text: &str) -> Result<Self, BadAuthorities> {
        let own = Self(text.to_owned());
        let fits = text.len() <= 64 << 10 && (text.trim().is_empty() || own.roots().is_some());
        if fits { Ok(own) } else { Err(BadAuthorities) }
    }
}

impl Authorities {
    /// The text they came as.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn roots(&self) -> Option<rustls::RootCertStore> {
        let mut store = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.0.as_bytes()) {
            store.add(certificate.ok()?).ok()?;
        }
        (!store.is_empty()).then_some(store)
    }

    /// Those given, or without any the public ones.
    fn trusted(&self) -> rustls::RootCertStore {
        self.roots().unwrap_or_else(|| webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }
}

/// A server that was looked up and checked. Good for a batch of calls, then opened anew.
#[derive(Clone, Debug)]
pub struct Server {
    client: reqwest::Client,
    base: BaseUrl,
    credentials: Credentials,
    /// What it is, for messages.
    kind: &'static str,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; null when there is none.
    pub body: Value,
}

impl Server {
    /// Resolves and checks.
    pub async fn open(
        base: &BaseUrl,
        credentials: Credentials,
        authorities: &Authorities,
        reach: &Reach<'_>,
    ) -> Result<Self, Fault> {
        let (host, port) = (base.host(), base.port());
        let found = reach.resolver.find(host, port).await;
        let mut forbidden = None;
        let allowed: Vec<SocketAddr> = found
            .into_iter()
            .filter(|at| match reach.allowed.permits(host, at.ip(), port, reach.ports) {
                Ok(()) => true,
                Err(why) => {
                    forbidden.get_or_insert(why);
                    false
                }
            })
            .collect();
        if allowed.is_empty() {
            return Err(forbidden.map_or_else(|| Fault::Unknown(host.to_owned()), Fault::Forbidden));
        }
        let client = client(host, &allowed, authorities)
            .map_err(|_| Fault::Never("the certificates given cannot be used".into()))?;
        Ok(Self { client, base: base.clone(), credentials, kind: reach.kind })
    }

    /// One call. Statuses of failure are answers too, except those every system means alike.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Fault> {
        let (status, bytes) = self.read(method, path, body, MOST).await?;
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).map_err(|_| self.garbage())?
        };
        Ok(Answer { status, body })
    }

    /// As [`Self::ask`], with the answer as it came, of which at most so many bytes are read.
    pub async fn read(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        most: usize,
    ) -> Result<(u16, Vec<u8>), Fault> {
        let mut request =
            self.client.request(method, self.base.at(path)?).header("accept", "application/json");
        request = match &self.credentials {
            Credentials::None => request,
            Credentials::Basic(name, key) => request.basic_auth(name, Some(key.expose())),
            Credentials::Header(key) => request.header("authorization", key.expose()),
        };
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(|error| self.fault(&error))?;
        let status = answer.status().as_u16();
        match status {
            401 => return Err(Fault::Credentials(self.name())),
            403 => return Err(Fault::NotAllowed(self.name())),
            300..=399 => {
                return Err(Fault::Never(format!(
                    "{} sends callers elsewhere (status {status}); give the address it sends them to",
                    self.name()
                )));
            }
            _ => {}
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.fault(&error))? {
            if bytes.len() + chunk.len() > most {
                return Err(Fault::Long(self.name()));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status >= 500 || status == 429 {
            return Err(Fault::Status(self.name(), status));
        }
        Ok((status, bytes))
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        match self.base.0.port() {
            Some(port) => format!("{} at {}:{port}", self.kind, self.base.host()),
            None => format!("{} at {}", self.kind, self.base.host()),
        }
    }

    /// An answer that is not what was asked for.
    pub fn garbage(&self) -> Fault {
        Fault::Garbage(self.name(), self.kind)
    }

    fn fault(&self, error: &reqwest::Error) -> Fault {
        let chain: Vec<String> =
            std::iter::successors(std::error::Error::source(error), |error| error.source())
                .map(ToString::to_string)
                .collect();
        let chain = chain.join(": ").to_lowercase();
        let name = self.name();
        if error.is_timeout() {
            Fault::Silent(name)
        } else if chain.contains("certificate") || chain.contains("invalid peer") {
            Fault::Certificate(name)
        } else if chain.contains("refused") {
            Fault::Refused(name)
        } else if error.is_connect() {
            Fault::Unreachable(name)
        } else if error.is_body()
            || error.is_decode()
            || ["closed", "reset", "incomplete", "eof", "broken pipe"]
                .iter()
                .any(|word| chain.contains(word))
        {
            Fault::Half(name)
        } else {
            self.garbage()
        }
    }
}

/// Whom a kind of system may be at, and how names are looked up.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// What an administrator allowed.
    pub allowed: &'a Allowed,
    /// How names become addresses.
    pub resolver: &'a Resolver,
    /// The ports such a system usually has.
    pub ports: &'static [u16],
    /// What it is, for messages.
    pub kind: &'static str,
}

fn client(
    host: &str,
    at: &[SocketAddr],
    authorities: &Authorities,
) -> Result<reqwest::Client, reqwest::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut builder = reqwest::Client::builder();
    // The provider knows both versions: this cannot fail.
    if let Ok(tls) =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    {
        let tls = tls.with_root_certificates(authorities.trusted()).with_no_client_auth();
        builder = builder.tls_backend_preconfigured(tls);
    }
    builder
        .resolve_to_addrs(host, at)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(3))
        .timeout(PATIENCE)
        .user_agent("Patchbay")
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_server_is_plain() {
        for (text, shown) in [
            ("https://netbox.corp", "https://netbox.corp"),
            ("https://netbox.corp/", "https://netbox.corp"),
            ("http://10.0.0.5:8000/netbox/", "http://10.0.0.5:8000/netbox"),
            ("https://[2001:db8::5]:8443", "https://[2001:db8::5]:8443"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "netbox.corp",
            "ftp://x",
            "file:///etc/passwd",
            "https://u:p@x",
            "https://x?y",
            "https://x#y",
            "https://x y",
            "gopher://x",
            "https://",
            "http://exa\u{6d}ple\u{2024}com",
        ] {
            assert!(bad.parse::<BaseUrl>().is_err(), "{bad}");
        }
        // Spellings of 127.0.0.1 are one address, not a name that slips past the list.
        for text in ["http://0x7f.1", "http://2130706433", "http://127.1"] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!(url.host(), "127.0.0.1", "{text}");
        }
    }

    #[test]
    fn authorities_are_certificates_or_nothing() {
        assert!("".parse::<Authorities>().is_ok());
        assert!("hello".parse::<Authorities>().is_err());
        assert!(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
                .parse::<Authorities>()
                .is_err()
        );
    }
}
