//! Decides which servers are trusted.
//!
//! `verify-ca` and `verify-full` use the root certificates in the file that `sslrootcert` names, or else the
//! machine's own, which are kept up to date with it (the variables `SSL_CERT_FILE` and `SSL_CERT_DIR` override their
//! location). Most managed databases use their own certificate authority, whose file must be named.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{
        WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
        verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    certificate::Certificate,
    chain::{is_form_error, verify_chain},
};

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
    let provider = ring::default_provider();
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot set up TLS: {error}"))?;
    let authorities = if verify == Verify::Nothing { None } else { Some(Authorities::load(roots)?) };
    let verifier = Verifier { authorities, name: verify == Verify::AuthorityAndName, algorithms };
    let config =
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// The trusted roots.
#[derive(Debug)]
struct Authorities {
    roots: RootCertStore,
    /// Those of them that come from a file named by the operator.
    named: Vec<CertificateDer<'static>>,
}

impl Authorities {
    fn load(from: &Roots) -> Result<Self, String> {
        let mut loaded = Self { roots: RootCertStore::empty(), named: Vec::new() };
        match from {
            Roots::System => {
                let native = rustls_native_certs::load_native_certs();
                loaded.roots.add_parsable_certificates(native.certs);
                if loaded.roots.is_empty() {
                    return Err("this machine has no trusted root certificates; name a PEM file with \
                                sslrootcert, or install ca-certificates"
                        .to_owned());
                }
            }
            Roots::File(path) => {
                let unusable = |why: &dyn std::fmt::Display| format!("its sslrootcert cannot be used: {why}");
                let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| unusable(&error))?;
                    loaded.roots.add(certificate.clone()).map_err(|error| unusable(&error))?;
                    loaded.named.push(certificate);
                }
                if loaded.roots.is_empty() {
                    return Err(unusable(&"it contains no certificate"));
                }
            }
        }
        Ok(loaded)
    }

    /// Verifies that an authority has signed the certificate, as webpki does, or else `chain`.
    fn verify(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let verdict = ParsedCertificate::try_from(shown.certificate).and_then(|parsed| {
            let all = shown.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots,
                shown.intermediates,
                shown.now,
                all,
            )
        });
        match verdict {
            Err(error) if is_form_error(&error) => self.verify_chain(shown),
            verdict => verdict,
        }
    }

    /// Verifies that the certificate, which `verify` has accepted, is valid for the host: by its alternative names, and only if it
    /// has none by its common name.
    fn verify_name(&self, shown: &Shown<'_>, host: &ServerName<'_>) -> Result<(), Error> {
        let by_common_name = || Certificate::parse(shown.certificate)?.verify_common_name(host);
        match ParsedCertificate::try_from(shown.certificate)
            .and_then(|parsed| verify_server_name(&parsed, host))
        {
            Err(error) if is_form_error(&error) => by_common_name(),
            // webpki has not compared the common name with an authority's constraints of names; `chain` accepts no constraints.
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
                presented, ..
            })) if presented.is_empty() && self.verify_chain(shown).is_ok() => by_common_name(),
            verdict => verdict,
        }
    }

    fn verify_chain(&self, shown: &Shown<'_>) -> Result<(), Error> {
        verify_chain(shown.certificate, shown.intermediates, &self.named, shown.now, shown.algorithms)
    }
}

/// What a server has shown, and what it is judged by.
struct Shown<'a> {
    certificate: &'a CertificateDer<'a>,
    intermediates: &'a [CertificateDer<'a>],
    now: UnixTime,
    algorithms: &'a WebPkiSupportedAlgorithms,
}

/// Verifies the authority and the name, or less, as configured. The handshake signature is always verified, so the server
/// must own the key of the certificate it presents.
#[derive(Debug)]
struct Verifier {
    /// Without them, any certificate is accepted.
    authorities: Option<Authorities>,
    name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            let shown = Shown { certificate, intermediates, now, algorithms: &self.algorithms };
            authorities.verify(&shown)?;
            if self.name {
                authorities.verify_name(&shown, name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match verify_tls12_signature(message, certificate, signature, &self.algorithms) {
            Err(error) if is_form_error(&error) => {
                let scheme = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == signature.scheme);
                let algorithms = scheme.into_iter().flat_map(|(_, algorithms)| algorithms.iter().copied());
                if Certificate::parse(certificate)?.has_signed(message, signature.signature(), algorithms) {
                    return Ok(HandshakeSignatureValid::assertion());
                }
                Err(CertificateError::BadSignature.into())
            }
            verdict => verdict,
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match verify_tls13_signature(message, certificate, signature, &self.algorithms) {
            Err(error) if is_form_error(&error) => {
                let key = Certificate::parse(certificate)?.key()?;
                verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
            }
            verdict => verdict,
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, GeneralSubtree, IsCa, KeyPair,
        NameConstraints,
    };

    use super::*;

    /// webpki compares only alternative names with the constraints of an authority.
    #[test]
    fn a_common_name_is_not_accepted_below_an_authority_that_may_sign_for_some_names_only() {
        let name =
            |params: &mut CertificateParams, name| params.distinguished_name.push(DnType::CommonName, name);
        for (constraints, alternative, accepted) in [
            (None, None, true),
            (Some("db.example"), None, false),
            (Some("inside.example"), None, false),
            (Some("db.example"), Some("db.example"), true),
            (Some("inside.example"), Some("db.example"), false),
            (None, Some("other.example"), false),
        ] {
            let mut root = CertificateParams::new([]).unwrap();
            name(&mut root, "root");
            root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            root.name_constraints = constraints.map(|permitted| NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName(permitted.to_owned())],
                excluded_subtrees: vec![],
            });
            let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
            let alternatives: Vec<_> = alternative.into_iter().map(str::to_owned).collect();
            let mut server = CertificateParams::new(alternatives).unwrap();
            name(&mut server, "db.example");
            let server = server.signed_by(&KeyPair::generate().unwrap(), &root).unwrap();
            let mut authorities =
                Authorities { roots: RootCertStore::empty(), named: vec![root.der().clone()] };
            authorities.roots.add(root.der().clone()).unwrap();
            let algorithms = ring::default_provider().signature_verification_algorithms;
            let (now, certificate) = (UnixTime::now(), server.der());
            let shown = Shown { certificate, intermediates: &[], now, algorithms: &algorithms };
            let host = ServerName::try_from("db.example").unwrap();
            let verdict = authorities.verify(&shown).and_then(|()| authorities.verify_name(&shown, &host));
            assert_eq!(verdict.is_ok(), accepted, "{constraints:?} {alternative:?}: {verdict:?}");
            // Without a file, the common name never counts.
            authorities.named.clear();
            let verdict = authorities.verify(&shown).and_then(|()| authorities.verify_name(&shown, &host));
            assert_eq!(verdict.is_ok(), accepted && alternative.is_some(), "{verdict:?}");
        }
    }
}
