//! Whose certificate a server may show: TLS as both edges speak it, on rustls.
//!
//! Enters: how much is to be checked and a CA file. Leaves: a rustls configuration. A certificate that itself stands in
//! the CA file is trusted as such: people put a self-signed server certificate there, which a chain check by webpki
//! refuses. Signatures of the handshake are verified in every mode.

use crate::error::{Error, ErrorKind, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// How much of a server's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: the connection is encrypted, to whomever.
    Anyone,
    /// That an authority which is trusted has signed it.
    Chain,
    /// And that it is for the host's name.
    ChainAndName,
}

/// The configuration of a client. `ca_file`: the authorities to trust instead of the built-in ones, in PEM form, where
/// anything is checked. `side`: `source` or `target`, for messages.
///
/// # Errors
/// [`ErrorKind::Config`] when the CA file cannot be used.
pub fn client_config(trust: Trust, ca_file: Option<&Path>, side: &str) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let broken = |error: &dyn std::fmt::Display| Error::new(ErrorKind::Bug, "setting up TLS").detail(error.to_string());
    let trusted = match ca_file {
        Some(path) if trust != Trust::Anyone => read_certificates(path, side)?,
        _ => Vec::new(),
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    if trusted.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let chain = if trust == Trust::Anyone {
        None
    } else {
        let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        Some(builder.build().map_err(|error| broken(&error))?)
    };
    let check_name = trust == Trust::ChainAndName;
    let verifier = Verifier { chain, trusted, check_name, provider: Arc::clone(&provider) };
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(client))
}

fn read_certificates(path: &Path, side: &str) -> Result<Vec<CertificateDer<'static>>> {
    let bad = |why: String| {
        Error::new(ErrorKind::Config, format!("the {side}'s CA file {} cannot be used", path.display())).detail(why)
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(error.to_string()))?;
    if certificates.is_empty() {
        return Err(bad("it holds no certificate in PEM form".into()));
    }
    Ok(certificates)
}

#[derive(Debug)]
struct Verifier {
    /// Checks chain and name; none: any certificate is taken.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// The CA file's certificates.
    trusted: Vec<CertificateDer<'static>>,
    check_name: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        if self.trusted.iter().any(|trusted| trusted.as_ref() == end_entity.as_ref()) {
            if self.check_name {
                rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // webpki looks at the name last, when the chain has been found good
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.check_name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
