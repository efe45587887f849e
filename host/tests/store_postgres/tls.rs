//! `sslmode`: which servers are trusted, and whether the connection uses TLS.

use std::{fs, net::TcpListener, path::PathBuf};

use orders_host::store;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::{
    harness::{TestHost, orders},
    postgres::Server,
};

const UNKNOWN_ISSUER: &str = "name the file of its root certificate with sslrootcert";
const WRONG_NAME: &str = "the server's certificate is for another host";

/// A server with TLS on its own port, with a certificate for `localhost`.
struct Secure {
    server: Server,
    port: u16,
    folder: TempDir,
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Secure {
    fn start() -> Self {
        let (accepted, another) = (authority("accepted"), authority("another"));
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &accepted).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("accepted.pem"), accepted.pem()).unwrap();
        fs::write(folder.path().join("another.pem"), another.pem()).unwrap();
        fs::write(folder.path().join("empty.pem"), "").unwrap();

        let mut server = Server::prepare();
        server.write(&server.data().join("server.crt"), &certificate.pem());
        server.write(&server.data().join("server.key"), &key.serialize_pem());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        server.configure(&["ssl=on", "listen_addresses=localhost", &format!("port={port}")]);
        server.resume();
        Self { server, port, folder }
    }

    fn roots(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.pem"))
    }

    /// Opens the store with this host and these options in the URL. Returns the TLS version that the server reports;
    /// `None` without TLS.
    async fn open(&self, host: &str, options: &str) -> Result<Option<String>, String> {
        let database = self.server.database();
        let application = format!("application_name={database}");
        let url = format!("postgres://postgres@{host}:{}/{database}?{options}&{application}", self.port);
        let store = store::open(&url.parse().unwrap()).await.map_err(|error| error.to_string())?;
        store.health().await.unwrap();
        let seen = self.server.sql(
            "postgres",
            &format!(
                "SELECT DISTINCT coalesce(version, 'none') FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = '{database}'"
            ),
        );
        store.close().await;
        Ok((seen != "none").then_some(seen))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sslmode_selects_encryption_and_verification() {
    let secure = Secure::start();
    let (accepted, another, empty) =
        (secure.roots("accepted"), secure.roots("another"), secure.roots("empty"));
    let (accepted, another, empty) = (accepted.display(), another.display(), empty.display());
    let secured = Ok(Some("TLSv1.3".to_owned()));

    assert_eq!(secure.open("localhost", "sslmode=disable").await, Ok(None));
    for options in [
        String::new(),
        "sslmode=prefer".to_owned(),
        "sslmode=require".to_owned(),
        format!("sslmode=require&sslrootcert={accepted}"),
        format!("sslmode=verify-ca&sslrootcert={accepted}"),
        format!("sslmode=verify-full&sslrootcert={accepted}"),
    ] {
        assert_eq!(secure.open("localhost", &options).await, secured, "{options}");
    }
    // The certificate is not valid for this address.
    for mode in ["prefer", "require", "verify-ca"] {
        let options = format!("sslmode={mode}&sslrootcert={accepted}");
        assert_eq!(secure.open("127.0.0.1", &options).await, secured, "{options}");
    }
    for (host, options, expected) in [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={accepted}"), WRONG_NAME),
        ("localhost", format!("sslmode=verify-full&sslrootcert={another}"), UNKNOWN_ISSUER),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={another}"), UNKNOWN_ISSUER),
        ("localhost", format!("sslmode=require&sslrootcert={another}"), UNKNOWN_ISSUER),
        ("localhost", format!("sslmode=verify-full&sslrootcert={empty}"), "contains no certificate"),
        // This machine does not trust the server's authority.
        ("localhost", "sslmode=verify-full".to_owned(), ""),
        ("localhost", "sslmode=require&sslrootcert=system".to_owned(), "must be verify-full"),
    ] {
        let why = secure.open(host, &options).await.unwrap_err();
        assert!(why.contains(expected) && why.starts_with("cannot open the store"), "{options}: {why}");
    }
}

/// 0.0.0.0 is this machine, but does not look like it.
#[tokio::test(flavor = "multi_thread")]
async fn another_machine_without_a_rule_for_tls_is_a_warning_at_the_start() {
    let secure = Secure::start();
    for (place, options, warned) in [
        ("0.0.0.0", "", true),
        ("0.0.0.0", "?sslmode=prefer", true),
        ("0.0.0.0", "?sslmode=require", false),
        ("0.0.0.0", "?sslmode=disable", false),
        ("localhost", "", false),
    ] {
        let url =
            format!("postgres://postgres@{place}:{}/{}{options}", secure.port, secure.server.database());
        let host = TestHost::start_with(&orders(), &[], &[("ORDERS_STORE", &url)]).await;
        let warnings: Vec<_> =
            host.log().lines().into_iter().filter(|line| line["event"] == "store.not_verified").collect();
        assert_eq!(warnings.len(), usize::from(warned), "{place}{options}: {warnings:?}");
        for line in warnings {
            assert_eq!(line["level"], "WARN");
            assert!(line["message"].as_str().unwrap().contains("use sslmode=verify-full"), "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_rejected_if_sslmode_requires_it() {
    let mut server = Server::prepare();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    server.configure(&["listen_addresses=localhost", &format!("port={port}")]);
    server.resume();
    let secure = Secure { server, port, folder: tempfile::tempdir().unwrap() };
    for options in ["sslmode=disable", "sslmode=prefer", ""] {
        assert_eq!(secure.open("localhost", options).await, Ok(None), "{options}");
    }
    let why = secure.open("localhost", "sslmode=require").await.unwrap_err();
    assert!(why.contains("the server does not support TLS; enable it there"), "{why}");
}
