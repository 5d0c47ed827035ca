//! TLS to PostgreSQL, with rustls.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::url::{UrlError, Verification};
use crate::core::trust::Trust;

pub(super) enum Tls {
    Off,
    On(MakeRustlsConnect),
}

impl Tls {
    pub(super) fn new(verification: Verification) -> Result<Self, UrlError> {
        let refused = |error: &dyn std::fmt::Display| UrlError::RootCertificate(error.to_string());
        let config = match verification {
            Verification::Off => return Ok(Self::Off),
            Verification::None => {
                let provider = Arc::new(ring::default_provider());
                let verifier = Arc::new(Unverified(provider.clone()));
                let config =
                    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
                let config = config.map_err(|error| refused(&error))?.dangerous();
                config.with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
            Verification::Full(None) => {
                (**Trust::of_platform().map_err(|error| refused(&error))?.config()).clone()
            }
            Verification::Full(Some(path)) => {
                (**Trust::of_file(&path).map_err(|error| refused(&error))?.config()).clone()
            }
        };
        Ok(Self::On(MakeRustlsConnect::new(config)))
    }
}

/// Accepts any certificate, as libpq does with `sslmode=prefer` and `require`: passive listeners
/// read nothing, but the server may be another one.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
