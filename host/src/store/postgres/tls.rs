//! Decides which servers are trusted.
//!
//! `verify-ca` and `verify-full` use the root certificates in the file that `sslrootcert` names, or else the
//! machine's own, which are kept up to date with it (the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` override their
//! location). Most managed databases use their own certificate authority, whose file must be named.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How a server's certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    /// Not at all: the traffic is encrypted, but the server's identity is unknown.
    Nothing,
    /// It must be signed by a trusted authority.
    Authority,
    /// It must be signed by a trusted authority and valid for the host in the URL.
    AuthorityAndName,
}

/// The trusted authorities.
pub(super) enum Roots {
    /// The machine's trusted roots.
    System,
    /// The certificates in a PEM file.
    File(PathBuf),
}

/// Builds the TLS configuration of a connection.
///
/// # Errors
///
/// One line, if there are no root certificates to verify with.
pub(super) fn connector(verify: Verify, roots: &Roots) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let failed = |error: &dyn std::fmt::Display| format!("cannot set up TLS: {error}");
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let config = match verify {
        Verify::AuthorityAndName => builder.with_root_certificates(load(roots)?).with_no_client_auth(),
        Verify::Authority | Verify::Nothing => {
            let chain = if verify == Verify::Authority {
                let roots = Arc::new(load(roots)?);
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
                Some(verifier.map_err(|error| failed(&error))?)
            } else {
                None
            };
            let verifier = Arc::new(VerifierWithoutName { chain, provider });
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn load(roots: &Roots) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            let native = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(native.certs);
            if store.is_empty() {
                return Err(
                    "this machine has no trusted root certificates; name a PEM file with sslrootcert, or \
                            install ca-certificates"
                        .to_owned(),
                );
            }
        }
        Roots::File(path) => {
            let unusable = |why: &dyn std::fmt::Display| format!("its sslrootcert cannot be used: {why}");
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                store.add(certificate).map_err(|error| unusable(&error))?;
            }
            if store.is_empty() {
                return Err(unusable(&"it contains no certificate"));
            }
        }
    }
    Ok(store)
}

/// Verifies the authority, or nothing without a `chain`, but never the name. The handshake signature is always
/// verified, so the server must own the key of the certificate it presents.
#[derive(Debug)]
struct VerifierWithoutName {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for VerifierWithoutName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(certificate, intermediates, name, stapled, now) {
            // The name is checked last, so everything else is valid.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
