//! Accepts what psql accepts and webpki refuses for its form: certificates of X.509 version 1, and authorities that are
//! servers themselves. PostgreSQL's manual makes both.
//!
//! webpki decides first: only what it refuses with one of two errors ([`is_form_error`]) is verified here, and only against
//! the roots of a file.

use rustls::{
    CertificateError, Error, OtherError,
    crypto::WebPkiSupportedAlgorithms,
    pki_types::{CertificateDer, UnixTime},
};

use super::certificate::Certificate;

/// Maximum number of certificates between the server's and a root, as in webpki. It also bounds the number of signatures that a
/// server can have verified.
const MAX_INTERMEDIATES: usize = 6;

/// Whether webpki refused a certificate because it is of version 1, or because a server's is an authority's.
pub(super) fn is_form_error(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error else { return false };
    matches!(
        cause.downcast_ref(),
        Some(webpki::Error::UnsupportedCertVersion | webpki::Error::CaUsedAsEndEntity)
    )
}

/// Verifies that the server's certificate is one of the roots, or is signed by one, directly or through certificates that the
/// server sent.
///
/// # Errors
///
/// [`Error::InvalidCertificate`].
pub(super) fn verify_chain(
    server: &CertificateDer<'_>,
    sent: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let parsed = Certificate::parse(server)?;
    parsed.check(now)?;
    if roots.contains(server) {
        return Ok(());
    }
    parsed.check_algorithm(algorithms)?;
    let parse = |der| Certificate::parse(der).ok().filter(|parsed| parsed.check(now).is_ok());
    let roots: Vec<_> = roots.iter().filter_map(parse).collect();
    let sent: Vec<_> = sent.iter().take(MAX_INTERMEDIATES).filter_map(parse).collect();
    let mut last = &parsed;
    for intermediates in 0..=MAX_INTERMEDIATES {
        let issued_last = |issuer: &&Certificate<'_>| issuer.issued(last, algorithms);
        let may_be_root = |root: &&Certificate<'_>| root.is_old_root() || root.may_issue(intermediates);
        if roots.iter().filter(may_be_root).any(|root| issued_last(&root)) {
            return Ok(());
        }
        let issuer = sent.iter().filter(|issuer| issuer.may_issue(intermediates)).find(issued_last);
        last = issuer.ok_or(CertificateError::UnknownIssuer)?;
    }
    Err(CertificateError::UnknownIssuer.into())
}

#[cfg(test)]
mod tests {
    use std::{slice::from_ref, time::Duration};

    use proptest::prelude::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
        ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    };
    use rustls::{
        CertificateError, Error,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    };

    use super::{super::certificate::Certificate, verify_chain};

    /// Made by the commands of PostgreSQL's manual, but with elliptic curves and for a hundred years: a root, an
    /// intermediate below it, and of version 1 a server below each; a self-signed server; a root of version 1 and a server
    /// below it.
    const MANUAL: &str = include_str!("../../../tests/store_postgres/manual.pem");

    /// A moment at which these are valid.
    const VALID: u64 = 2_000_000_000;

    fn manual() -> [CertificateDer<'static>; 7] {
        let all: Vec<_> = CertificateDer::pem_slice_iter(MANUAL.as_bytes()).map(Result::unwrap).collect();
        all.try_into().unwrap()
    }

    fn verify_at(
        seconds: u64,
        server: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        roots: &[CertificateDer<'_>],
    ) -> Result<(), CertificateError> {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let algorithms = ring::default_provider().signature_verification_algorithms;
        verify_chain(server, sent, roots, now, &algorithms).map_err(|error| match error {
            Error::InvalidCertificate(why) => why,
            other => panic!("{other}"),
        })
    }

    fn verify(
        server: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        roots: &[CertificateDer<'_>],
    ) -> Result<(), CertificateError> {
        verify_at(VALID, server, sent, roots)
    }

    #[test]
    fn certificates_of_the_manual_are_accepted() {
        let [root, intermediate, server, below_intermediate, own, old_root, below_old_root] = manual();
        let roots = [root];
        assert_eq!(verify(&server, &[], &roots), Ok(()));
        assert_eq!(verify(&below_intermediate, from_ref(&intermediate), &roots), Ok(()));
        assert_eq!(verify(&below_intermediate, &[server, intermediate.clone()], &roots), Ok(()));
        assert_eq!(verify(&below_intermediate, &[], &[intermediate]), Ok(()));
        assert_eq!(verify(&own, &[], &[old_root.clone(), own.clone()]), Ok(()));
        assert_eq!(verify(&below_old_root, &[], &[old_root]), Ok(()));
    }

    #[test]
    fn a_certificate_below_no_root_is_refused() {
        let [root, intermediate, server, below_intermediate, own, old_root, below_old_root] = manual();
        let unknown = Err(CertificateError::UnknownIssuer);
        assert_eq!(verify(&server, &[], &[]), unknown);
        assert_eq!(verify(&server, from_ref(&root), &[]), unknown, "a root that the server sent");
        assert_eq!(verify(&server, &[], &[own.clone(), old_root.clone(), intermediate.clone()]), unknown);
        assert_eq!(verify(&below_intermediate, &[], from_ref(&root)), unknown, "the intermediate is missing");
        assert_eq!(verify(&below_intermediate, &[server], from_ref(&root)), unknown, "another one is there");
        assert_eq!(verify(&own, from_ref(&own), from_ref(&root)), unknown, "self-signed, but not the root");
        let roots = [root];
        assert_eq!(
            verify(&below_old_root, &[old_root], &roots),
            unknown,
            "version 1 is no authority if it is sent"
        );
    }

    #[test]
    fn dates_count_also_for_a_certificate_that_is_itself_the_root() {
        let [root, _, server, _, own, ..] = manual();
        for (server, roots) in [(&own, [own.clone()]), (&server, [root])] {
            let (early, late) = (
                verify_at(1_000_000_000, server, &[], &roots),
                verify_at(6_000_000_000, server, &[], &roots),
            );
            assert!(matches!(early, Err(CertificateError::NotValidYetContext { .. })), "{early:?}");
            assert!(matches!(late, Err(CertificateError::ExpiredContext { .. })), "{late:?}");
        }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn authority_params(name: &str) -> CertificateParams {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn root(params: CertificateParams) -> Authority {
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn below(issuer: &Authority, params: CertificateParams) -> Authority {
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), issuer).unwrap()
    }

    fn der(authority: &Authority) -> CertificateDer<'static> {
        authority.der().clone()
    }

    /// Each row spoils one certificate between a root and a server, for which everything else is right.
    #[test]
    fn an_authority_signs_no_more_than_it_may() {
        type Spoil = fn(&mut CertificateParams);
        let rows: [(&str, Spoil, bool); 10] = [
            ("nothing is wrong", |_| {}, true),
            ("enough below", |it| it.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)), true),
            ("may sign", |it| it.key_usages = vec![KeyUsagePurpose::KeyCertSign], true),
            ("for servers", |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth], true),
            ("no authority", |it| it.is_ca = IsCa::ExplicitNoCa, false),
            ("says nothing", |it| it.is_ca = IsCa::NoCa, false),
            ("may not sign", |it| it.key_usages = vec![KeyUsagePurpose::DigitalSignature], false),
            ("for clients", |it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth], false),
            (
                "constraints of names",
                |it| {
                    let permitted_subtrees = vec![GeneralSubtree::DnsName("db.example".into())];
                    it.name_constraints =
                        Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
                },
                false,
            ),
            (
                "an unknown critical extension",
                |it| {
                    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                    extension.set_criticality(true);
                    it.custom_extensions = vec![extension];
                },
                false,
            ),
        ];
        for (what, spoil, accepted) in rows {
            let mut spoilt = authority_params("middle");
            spoil(&mut spoilt);
            let top = root(authority_params("top"));
            let middle = below(&top, spoilt.clone());
            let server = below(&middle, params("db.example"));
            assert_eq!(verify(&der(&server), &[der(&middle)], &[der(&top)]).is_ok(), accepted, "{what}");
            // The same for a root.
            let spoilt = root(spoilt);
            let server = below(&spoilt, params("db.example"));
            assert_eq!(verify(&der(&server), &[], &[der(&spoilt)]).is_ok(), accepted, "a root: {what}");
        }
        let mut short = authority_params("short");
        short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let short = root(short);
        let middle = below(&short, authority_params("middle"));
        let server = below(&middle, params("db.example"));
        assert_eq!(
            verify(&der(&server), &[der(&middle)], &[der(&short)]),
            Err(CertificateError::UnknownIssuer)
        );
    }

    #[test]
    fn a_namesake_of_a_root_with_another_key_is_no_issuer() {
        let (mine, theirs) = (root(authority_params("top")), root(authority_params("top")));
        let server = below(&theirs, params("db.example"));
        let unknown = Err(CertificateError::UnknownIssuer);
        assert_eq!(verify(&der(&server), &[der(&theirs)], &[der(&mine)]), unknown);
        assert_eq!(verify(&der(&server), &[], &[der(&mine), der(&theirs)]), Ok(()));
        assert_eq!(verify(&der(&theirs), &[], &[der(&mine)]), unknown);
    }

    /// Certificates that sign each other in a circle, and a long chain: both end.
    #[test]
    fn a_chain_has_a_limit() {
        let top = root(authority_params("a"));
        let mut sent = vec![];
        let mut last = below(&top, authority_params("0"));
        for number in 1..=9 {
            sent.push(der(&last));
            let next = below(&last, authority_params(&number.to_string()));
            last = next;
            let longest = sent.len() <= super::MAX_INTERMEDIATES;
            assert_eq!(verify(&der(&last), &sent, &[der(&top)]).is_ok(), longest, "{number}");
        }
        let key = KeyPair::generate().unwrap();
        let (a, b) = (root(authority_params("a")), root(authority_params("b")));
        let sign =
            |name: &str, key: &KeyPair, by: &Authority| authority_params(name).signed_by(key, by).unwrap();
        let circle = [sign("a", a.key(), &b).der().clone(), sign("b", b.key(), &a).der().clone()];
        let server = params("db.example").signed_by(&key, &a).unwrap();
        assert_eq!(verify(server.der(), &circle, &[der(&top)]), Err(CertificateError::UnknownIssuer));
    }

    #[test]
    fn a_common_name_counts_if_there_is_no_other_name_of_a_host() {
        let check = |params: CertificateParams, host: &str| {
            let server = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let host = ServerName::try_from(host.to_owned()).unwrap();
            Certificate::parse(server.der()).unwrap().verify_common_name(&host).is_ok()
        };
        for (name, host, expected) in [
            ("db.example", "db.example", true),
            ("DB.example", "db.Example", true),
            ("*.example", "db.example", true),
            ("*.example", "a.db.example", false),
            ("*.example", "example", false),
            ("*.0.0.1", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("::1", "::1", true),
            ("other.example", "db.example", false),
            ("db.example\0.evil", "db.example", false),
            ("", "db.example", false),
        ] {
            assert_eq!(check(params(name), host), expected, "{name} {host}");
        }
        for other in ["other.example", "127.0.0.1"] {
            let mut params = CertificateParams::new([other.to_owned()]).unwrap();
            params.distinguished_name.push(DnType::CommonName, "db.example");
            assert!(!check(params, "db.example"), "{other}");
        }
        let [.., server, _, _, _, _] = manual();
        let host = ServerName::try_from("db.example").unwrap();
        assert_eq!(Certificate::parse(&server).unwrap().verify_common_name(&host), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes: Vec<u8>) {
            let [root, ..] = manual();
            let server = CertificateDer::from(bytes);
            prop_assert!(verify(&server, from_ref(&server), &[root]).is_err());
        }

        /// One changed byte anywhere spoils a certificate that is not a root.
        #[test]
        fn a_changed_certificate_is_refused(which in 0..4_usize, place: prop::sample::Index, flip in 1..=255_u8) {
            let [root, intermediate, server, below_intermediate, own, ..] = manual();
            let change = |certificate: CertificateDer<'static>| {
                let mut bytes = certificate.to_vec();
                let place = place.index(bytes.len());
                bytes[place] ^= flip;
                CertificateDer::from(bytes)
            };
            let verdict = match which {
                0 => verify(&change(server), &[], &[root]),
                1 => verify(&change(below_intermediate), &[intermediate], &[root]),
                2 => verify(&below_intermediate, &[change(intermediate)], &[root]),
                _ => verify(&change(own.clone()), &[], &[own]),
            };
            prop_assert!(verdict.is_err());
        }
    }
}
