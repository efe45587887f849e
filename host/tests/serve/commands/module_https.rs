//! `orders-host module` through a proxy that encrypts, with certificates of an authority of its own.

use std::{fs, net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    commands::module::{check_failed, check_said},
    harness::{self, TestHost, fixture, run_with},
};

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Starts a proxy with a certificate for localhost, and returns its port.
async fn proxy(authority: &CertifiedIssuer<'static, KeyPair>, to: SocketAddr) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        );
    let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate leaves.
                let Ok(mut near) = acceptor.accept(near).await else { return };
                let mut far = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_service_behind_https_is_trusted_by_its_authority_and_name() {
    let host = TestHost::fixture("answers", &[]).await;
    let (accepted, another) = (authority("accepted"), authority("another"));
    let port = proxy(&accepted, host.admin.unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("accepted"), accepted.pem()).unwrap();
    fs::write(at("another"), another.pem()).unwrap();
    fs::write(at("empty"), "").unwrap();
    let url = format!("https://localhost:{port}");
    let token = ("ORDERS_ADMIN_TOKEN", harness::TOKEN);
    let with = |url: &str, file: &str| [("ORDERS_ADMIN", url.to_owned()), ("ORDERS_ADMIN_CA", at(file))];
    let push =
        ["module", "push", &fixture("remembers").display().to_string(), "--canary", "0"].map(str::to_owned);

    for (url, file, says) in [
        (&url, "another", &["cannot reach", "certificate"][..]),
        (&format!("https://127.0.0.1:{port}"), "accepted", &["cannot reach", "certificate"]),
        (&url, "empty", &["--admin-ca", "no certificate"]),
        (&url, "missing", &["--admin-ca", "No such file"]),
    ] {
        let [admin, ca] = with(url, file);
        let ran = run_with(&[token, (admin.0, &admin.1), (ca.0, &ca.1)], push.clone()).await;
        check_failed(&ran, 2, says);
    }
    let [admin, ca] = with(&url, "accepted");
    let ran = run_with(&[token, (admin.0, &admin.1), (ca.0, &ca.1)], push).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    check_said(&ran, &["pushing", &url, "promoted"]);
    // The port itself speaks plain HTTP.
    let plain = format!("https://localhost:{}", host.admin.unwrap().port());
    let [admin, ca] = with(&plain, "accepted");
    let ran = run_with(&[token, (admin.0, &admin.1), (ca.0, &ca.1)], ["module", "list"]).await;
    check_failed(&ran, 2, &["cannot reach", &plain, "perhaps the port speaks plain HTTP"]);
}
