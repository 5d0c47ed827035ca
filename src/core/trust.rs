//! The certificates of servers that a client of NetBit accepts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{} cannot be read: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: String },
    #[error("{} holds no certificate in PEM format", .0.display())]
    NoCertificate(PathBuf),
    #[error("no certificate authorities are installed: install ca-certificates, or name a file")]
    NoAuthorities,
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// The authorities that the client trusts. Clones share them.
#[derive(Debug, Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts the authorities of this machine, or those that `SSL_CERT_FILE` names.
    pub fn of_platform() -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // Invalid or unsupported certificates of the store are skipped.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(TrustError::NoAuthorities);
        }
        Self::by(authorities(roots)?)
    }

    /// Trusts only the certificates of a PEM file: authorities, or the server's own certificate.
    pub fn of_file(path: &Path) -> Result<Self, TrustError> {
        let unreadable = |error: rustls::pki_types::pem::Error| TrustError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let certificates: Vec<CertificateDer<'static>> =
            CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(unreadable)?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().cloned());
        if roots.is_empty() {
            return Err(TrustError::NoCertificate(path.to_owned()));
        }
        Self::by(Arc::new(Given { authorities: authorities(roots)?, certificates }))
    }

    fn by(verifier: Arc<dyn ServerCertVerifier>) -> Result<Self, TrustError> {
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let config = config.map_err(|error| TrustError::Setup(error.to_string()))?;
        let config = config.dangerous().with_custom_certificate_verifier(verifier);
        Ok(Self(Arc::new(config.with_no_client_auth())))
    }

    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn authorities(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    verifier.map_err(|error| TrustError::Setup(error.to_string()))
}

/// Certificates that the user named.
#[derive(Debug)]
struct Given {
    authorities: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Given {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let checked = self.authorities.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match checked {
            // A certificate from `openssl req -x509` is an authority, which webpki refuses as the
            // certificate of a server. An expired certificate gives another error.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.certificates.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_error_names_file_without_certificate() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Trust::of_file(file.path()).unwrap_err().to_string();
        assert!(error.contains("holds no certificate"), "{error}");
        let error = Trust::of_file(Path::new("/nowhere.pem")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere.pem cannot be read"), "{error}");
    }
}
