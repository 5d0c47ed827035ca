//! TLS: one certificate for HTTP and chat sessions, reloaded on demand.
//!
//! Open connections keep the certificate that they started with. The next handshake uses the one
//! that was read last. A certificate that cannot be read changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("the certificate and the key do not match: {0}")]
    Mismatch(rustls::Error),
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// The certificate in force. Clones share it.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads a chain of certificates and their key, both PEM.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let current = Arc::new(Current(ArcSwap::from_pointee(read(certificate, key)?)));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config =
            builder.map_err(TlsError::Setup)?.with_no_client_auth().with_cert_resolver(current.clone());
        Ok(Self {
            config: Arc::new(config),
            current,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Reads the files again.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.0.store(Arc::new(read(&self.certificate, &self.key)?));
        Ok(())
    }

    /// Returns the first host name of the certificate that is not a wildcard.
    pub fn name(&self) -> Option<String> {
        let current = self.current.0.load();
        let certificate = webpki::EndEntityCert::try_from(current.cert.first()?).ok()?;
        certificate.valid_dns_names().find(|name| !name.contains('*')).map(str::to_owned)
    }

    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error: rustls::pki_types::pem::Error| TlsError::Unreadable { path, reason: error.to_string() }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(unreadable(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(TlsError::Mismatch)
}
