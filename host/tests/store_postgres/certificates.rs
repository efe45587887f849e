//! Certificates as PostgreSQL's manual has them made (section "Secure TCP/IP Connections with SSL"): this program accepts
//! what psql accepts, and says what is wrong with the others.

use std::{fs, net::TcpListener, path::PathBuf, process::Command};

use orders_host::store;
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::postgres::Server;

/// A server whose certificates are made in its folder, which is where psql can read them.
struct Manual {
    server: Server,
    port: u16,
    database: String,
}

/// A host that the certificate is for.
const NAMED: &str = "localhost";
/// The same server under another name.
const UNNAMED: &str = "127.0.0.1";

const UNKNOWN_ISSUER: &str = "no trusted authority has signed the server's certificate; name the file";
const WRONG_NAME: &str = "the server's certificate is for another host; connect with a name that it contains";
const ANOTHER_KEY: &str = "no certificate in sslrootcert has signed the server's certificate, but perhaps another authority of the same name";
const EXPIRED: &str = "the server's certificate has expired; renew it";

impl Manual {
    fn prepare(settings: &[&str]) -> Self {
        let mut server = Server::prepare();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        server.configure(&["listen_addresses=localhost", &format!("port={port}")]);
        server.configure(settings);
        Self { server, port, database: String::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.folder().join(name)
    }

    /// Runs a command of the manual.
    fn openssl(&self, command: &str) {
        let arguments = command.split_whitespace();
        let ran = Command::new("openssl").current_dir(self.server.folder()).args(arguments).output();
        let ran = ran.expect("openssl is installed; the packages of PostgreSQL need it");
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// A root, as the manual makes it, but without relying on the configuration of the system.
    fn root(&self, name: &str) {
        fs::write(self.path("v3_ca"), "basicConstraints = critical, CA:true\n").unwrap();
        self.request(name);
        self.openssl(&format!(
            "x509 -req -in {name}.csr -text -days 3650 -extfile v3_ca -signkey {name}.key -out {name}.crt"
        ));
    }

    fn request(&self, name: &str) {
        self.openssl(&format!("req -new -nodes -text -out {name}.csr -keyout {name}.key -subj /CN={name}"));
    }

    fn sign(&self, name: &str, by: &str, options: &str) {
        self.openssl(&format!(
            "x509 -req -in {name}.csr -text -days 365 {options} -CA {by}.crt -CAkey {by}.key -CAcreateserial -out {name}.crt"
        ));
    }

    /// A server's certificate, of version 1 unless this OpenSSL makes others.
    fn server_below(&self, issuer: &str) {
        self.request(NAMED);
        self.sign(NAMED, issuer, "");
    }

    fn self_signed(&self, name: &str) {
        self.openssl(&format!(
            "req -new -x509 -days 365 -nodes -text -out {name}.crt -keyout {name}.key -subj /CN={NAMED}"
        ));
    }

    /// (Re)starts the server with these certificates, its own first, and makes all files readable to psql.
    fn serve(&mut self, certificates: &[&str], key: &str) {
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap();
        let chain: String = certificates.iter().map(|name| read(&format!("{name}.crt"))).collect();
        self.server.write(&self.server.data().join("server.crt"), &chain);
        self.server.write(&self.server.data().join("server.key"), &read(&format!("{key}.key")));
        for file in fs::read_dir(self.server.folder()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "crt") {
                let text = fs::read_to_string(&path).unwrap();
                self.server.write(&path, &text);
            }
        }
        self.server.configure(&["ssl=on"]);
        self.server.resume();
        if self.database.is_empty() {
            self.database = self.server.database();
        }
    }

    async fn open(&self, host: &str, options: &str) -> Result<(), String> {
        let url = format!("postgres://postgres@{host}:{}/{}?{options}", self.port, self.database);
        let store = store::open(&url.parse().unwrap()).await.map_err(|error| error.to_string())?;
        store.health().await.unwrap();
        store.close().await;
        Ok(())
    }

    fn psql(&self, host: &str, options: &str) -> Result<String, String> {
        let options = options.replace('&', " ");
        self.server.try_sql(
            &format!("host={host} port={} dbname={} {options}", self.port, self.database),
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        )
    }

    /// Connects with each mode, and checks that the verdict is that of psql and of the table: `None` is a connection, and
    /// text is a part of the error.
    async fn check(&self, root: &str, rows: &[(&str, &str, Option<&str>)]) {
        for (mode, host, refused) in rows {
            let root = if root.is_empty() {
                String::new()
            } else {
                format!("&sslrootcert={}", self.path(&format!("{root}.crt")).display())
            };
            let options = format!("sslmode={mode}{root}");
            let (opened, psql) = (self.open(host, &options).await, self.psql(host, &options));
            assert_eq!(opened.is_ok(), psql.is_ok(), "{host} {options}: {opened:?}, psql {psql:?}");
            match (refused, opened) {
                (None, Ok(())) => assert_eq!(psql.as_deref(), Ok("t"), "{host} {options}"),
                (Some(expected), Err(why)) => {
                    assert!(why.contains(expected) && !why.contains("OtherError"), "{host} {options}: {why}");
                }
                (_, opened) => panic!("{host} {options}: {opened:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_below_a_root_of_the_manual_is_accepted() {
    for protocol in ["TLSv1.3", "TLSv1.2"] {
        let mut manual = Manual::prepare(&[&format!("ssl_max_protocol_version={protocol}")]);
        manual.root("root");
        manual.root("another");
        manual.server_below("root");
        manual.serve(&[NAMED], NAMED);
        manual.check("", &[("require", UNNAMED, None), ("prefer", UNNAMED, None)]).await;
        let rows = [
            ("prefer", UNNAMED, None),
            ("require", UNNAMED, None),
            ("verify-ca", UNNAMED, None),
            ("verify-full", NAMED, None),
            ("verify-full", UNNAMED, Some(WRONG_NAME)),
        ];
        manual.check("root", &rows).await;
        let unknown = Some(UNKNOWN_ISSUER);
        let rows =
            [("require", NAMED, unknown), ("verify-ca", NAMED, unknown), ("verify-full", NAMED, unknown)];
        manual.check("another", &rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_of_the_same_name_with_another_key_is_told_apart() {
    let mut manual = Manual::prepare(&[]);
    manual.root("root");
    manual.request(NAMED);
    fs::write(manual.path("v3"), format!("subjectAltName = DNS:{NAMED}\n")).unwrap();
    manual.sign(NAMED, "root", "-extfile v3");
    manual.serve(&[NAMED], NAMED);
    // Made again, as after the loss of its key.
    manual.root("root");
    let certificate = fs::read_to_string(manual.path("root.crt")).unwrap();
    manual.server.write(&manual.path("root.crt"), &certificate);
    let another = Some(ANOTHER_KEY);
    manual.check("root", &[("verify-ca", UNNAMED, another), ("verify-full", NAMED, another)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_below_an_intermediate_of_the_manual_is_accepted() {
    let mut manual = Manual::prepare(&[]);
    manual.root("root");
    manual.request("intermediate");
    manual.sign("intermediate", "root", "-extfile v3_ca");
    manual.server_below("intermediate");
    manual.serve(&[NAMED, "intermediate"], NAMED);
    manual.check("root", &[("verify-ca", UNNAMED, None), ("verify-full", NAMED, None)]).await;
    manual.serve(&[NAMED], NAMED);
    let unknown = Some(UNKNOWN_ISSUER);
    manual.check("root", &[("verify-ca", UNNAMED, unknown), ("verify-full", NAMED, unknown)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_server_is_accepted_if_it_is_the_root() {
    let mut manual = Manual::prepare(&[]);
    manual.self_signed("own");
    manual.self_signed("another");
    manual.serve(&["own"], "own");
    manual.check("", &[("require", UNNAMED, None)]).await;
    let rows = [
        ("require", UNNAMED, None),
        ("verify-ca", UNNAMED, None),
        ("verify-full", NAMED, None),
        ("verify-full", UNNAMED, Some(WRONG_NAME)),
    ];
    manual.check("own", &rows).await;
    let unknown = Some(UNKNOWN_ISSUER);
    let rows = [("require", NAMED, unknown), ("verify-ca", NAMED, unknown), ("verify-full", NAMED, unknown)];
    manual.check("another", &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_and_names_are_checked_as_psql_does() {
    let mut manual = Manual::prepare(&[]);
    let write = |manual: &Manual, name: &str, change: fn(&mut CertificateParams)| {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, NAMED);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(manual.path(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(manual.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    };
    write(&manual, "late", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    write(&manual, "early", |params| params.not_before = rcgen::date_time_ymd(3000, 1, 1));
    write(&manual, "plain", |_| {});
    write(&manual, "other", |params| params.distinguished_name.push(DnType::CommonName, "db.example"));
    for (name, verify_ca, verify_full) in [
        ("late", Some(EXPIRED), Some(EXPIRED)),
        ("early", Some("not valid yet; check the clocks"), Some("not valid yet; check the clocks")),
        ("plain", None, None),
        ("other", None, Some(WRONG_NAME)),
    ] {
        manual.serve(&[name], name);
        manual.check("", &[("require", NAMED, None)]).await;
        manual.check(name, &[("verify-ca", NAMED, verify_ca), ("verify-full", NAMED, verify_full)]).await;
    }
}
