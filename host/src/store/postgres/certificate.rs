//! Reads a server's certificate, of any version, and says what it is valid for by itself.
//!
//! Only for certificates that webpki refuses for their form (see `chain`). A rule that is not implemented here, such as
//! constraints of names, refuses the certificate.

use std::str;

use rustls::{
    CertificateError, Error,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{
        CertificateDer, ServerName, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, UnixTime,
    },
};
use webpki::RawPublicKeyEntity;
use x509_cert::{
    TbsCertificate, Version,
    der::{
        AnyRef, Decode, Encode, Reader, SliceReader,
        asn1::ObjectIdentifier,
        oid::{
            AssociatedOid,
            db::{
                rfc4519::COMMON_NAME,
                rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_SERVER_AUTH},
            },
        },
    },
    ext::pkix::{
        BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName, name::GeneralName,
    },
};

/// The purposes that include being a server.
const SERVER_PURPOSES: [ObjectIdentifier; 2] = [ID_KP_SERVER_AUTH, ANY_EXTENDED_KEY_USAGE];

/// The extensions that are evaluated here.
const KNOWN_EXTENSIONS: [ObjectIdentifier; 4] =
    [BasicConstraints::OID, KeyUsage::OID, ExtendedKeyUsage::OID, SubjectAltName::OID];

/// A certificate that could be read, which says nothing about whether it is valid.
pub(super) struct Certificate<'a> {
    /// What its issuer has signed.
    signed: &'a [u8],
    parsed: x509_cert::Certificate,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate.
    ///
    /// # Errors
    ///
    /// [`CertificateError::BadEncoding`].
    pub(super) fn parse(der: &'a CertificateDer<'_>) -> Result<Self, Error> {
        let read = || {
            let parsed = x509_cert::Certificate::from_der(der)?;
            let signed = SliceReader::new(AnyRef::from_der(der)?.value())?.tlv_bytes()?;
            Ok::<_, x509_cert::der::Error>(Self { signed, parsed })
        };
        let read = read().map_err(|_| CertificateError::BadEncoding)?;
        let fields = read.fields();
        let is_right_version = fields.version == Version::V3 || fields.extensions.is_none();
        if is_right_version && fields.signature == read.parsed.signature_algorithm {
            Ok(read)
        } else {
            Err(CertificateError::BadEncoding.into())
        }
    }

    fn fields(&self) -> &TbsCertificate {
        &self.parsed.tbs_certificate
    }

    /// The public key, for verifying what the server has signed in a handshake.
    pub(super) fn key(&self) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
        let key = self.fields().subject_public_key_info.to_der();
        Ok(key.map_err(|_| CertificateError::BadEncoding)?.into())
    }

    /// Checks what does not depend on other certificates.
    pub(super) fn check(&self, now: UnixTime) -> Result<(), Error> {
        let validity = &self.fields().validity;
        let [not_before, not_after] = [validity.not_before, validity.not_after]
            .map(|time| UnixTime::since_unix_epoch(time.to_unix_duration()));
        if now < not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
        }
        if now > not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
        }
        let mut extensions = self.fields().extensions.iter().flatten();
        if extensions.any(|extension| {
            extension.extn_id == NameConstraints::OID
                || extension.critical && !KNOWN_EXTENSIONS.contains(&extension.extn_id)
        }) {
            return Err(CertificateError::UnhandledCriticalExtension.into());
        }
        match self.extension::<ExtendedKeyUsage>()? {
            Some(purposes) if !purposes.0.iter().any(|purpose| SERVER_PURPOSES.contains(purpose)) => {
                Err(CertificateError::InvalidPurpose.into())
            }
            _ => Ok(()),
        }
    }

    /// Says so if no supported algorithm can have signed it: it would otherwise seem to have an unknown issuer.
    pub(super) fn check_algorithm(&self, algorithms: &WebPkiSupportedAlgorithms) -> Result<(), Error> {
        if self.signed_with(algorithms).next().is_some() {
            return Ok(());
        }
        Err(CertificateError::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: self.parsed.signature_algorithm.oid.as_bytes().to_owned(),
            supported_algorithms: algorithms
                .all
                .iter()
                .map(|algorithm| algorithm.signature_alg_id())
                .collect(),
        }
        .into())
    }

    /// Whether it may sign certificates, the first of them with this many below it, not counting the server's.
    pub(super) fn may_issue(&self, intermediates: usize) -> bool {
        let is_authority = matches!(
            self.extension::<BasicConstraints>(),
            Ok(Some(basic)) if basic.ca
                && basic.path_len_constraint.is_none_or(|most| intermediates <= usize::from(most))
        );
        let may_sign = match self.extension::<KeyUsage>() {
            Ok(usage) => usage.is_none_or(|usage| usage.key_cert_sign()),
            Err(_) => false,
        };
        is_authority && may_sign
    }

    /// Whether it is a root of version 1, which cannot say that it is an authority.
    pub(super) fn is_old_root(&self) -> bool {
        self.fields().version == Version::V1 && self.fields().issuer == self.fields().subject
    }

    /// Whether this certificate's key has signed the other one.
    pub(super) fn issued(&self, other: &Certificate<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        self.fields().subject == other.fields().issuer
            && other.parsed.signature.as_bytes().is_some_and(|signature| {
                self.has_signed(other.signed, signature, other.signed_with(algorithms))
            })
    }

    /// Whether this certificate's key has signed the message, with one of the algorithms.
    pub(super) fn has_signed<'b>(
        &self,
        message: &[u8],
        signature: &[u8],
        mut algorithms: impl Iterator<Item = &'b dyn SignatureVerificationAlgorithm>,
    ) -> bool {
        let Ok(key) = self.key() else { return false };
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else { return false };
        algorithms.any(|algorithm| key.verify_signature(algorithm, message, signature).is_ok())
    }

    /// The algorithms, for different keys, that its signature may have been made with.
    fn signed_with(
        &self,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> impl Iterator<Item = &'static dyn SignatureVerificationAlgorithm> {
        let named = self.parsed.signature_algorithm.to_der().unwrap_or_default();
        algorithms.all.iter().copied().filter(move |algorithm| {
            AnyRef::from_der(&named).is_ok_and(|named| named.value() == algorithm.signature_alg_id().as_ref())
        })
    }

    /// Verifies the host as libpq does: by the common name, if there is no alternative name of a host.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NotValidForNameContext`].
    pub(super) fn verify_common_name(&self, host: &ServerName<'_>) -> Result<(), Error> {
        let name = self.common_name();
        if name.is_some_and(|name| is_name_of(name, host)) {
            return Ok(());
        }
        let presented = name.map(str::to_owned).into_iter().collect();
        Err(CertificateError::NotValidForNameContext { expected: host.to_owned(), presented }.into())
    }

    /// The first common name, unless there is an alternative name of a host.
    fn common_name(&self) -> Option<&str> {
        let names = self.extension::<SubjectAltName>().ok()?;
        let of_host =
            |name: &GeneralName| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_));
        if names.is_some_and(|names| names.0.iter().any(of_host)) {
            return None;
        }
        let mut attributes = self.fields().subject.0.iter().flat_map(|part| part.0.iter());
        let name = attributes.find(|attribute| attribute.oid == COMMON_NAME)?;
        str::from_utf8(name.value.value()).ok()
    }

    /// An extension that may be there once.
    fn extension<'b, T: Decode<'b> + AssociatedOid>(&'b self) -> Result<Option<T>, Error> {
        let found = self.fields().get::<T>().map_err(|_| CertificateError::BadEncoding)?;
        Ok(found.map(|(_critical, value)| value))
    }
}

/// Whether a common name is that of the host. `*.` stands for one label.
fn is_name_of(name: &str, host: &ServerName<'_>) -> bool {
    let text = host.to_str();
    let by_wildcard = || {
        let (label, domain) = text.split_once('.')?;
        Some(!label.is_empty() && name.strip_prefix("*.")?.eq_ignore_ascii_case(domain))
    };
    name.eq_ignore_ascii_case(&text)
        || matches!(host, ServerName::DnsName(_)) && by_wildcard().unwrap_or_default()
}
