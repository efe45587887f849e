//! Connections to the admin API, on a Unix socket or TCP, and the search for the socket of the only service.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::uri::Authority;
use rustls::{
    ClientConfig, InvalidMessage, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;

use crate::{
    admin::{check_private, is_answered},
    config::{AdminTarget, HTTP_PORT, socket_folder},
};

/// The port of a URL with `https:` that names none.
const HTTPS_PORT: u16 = 443;

/// A connection of any kind.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection for S {}

/// Connects to one admin API.
pub(super) struct Connector {
    pub(super) target: AdminTarget,
    /// Only for `https:`.
    tls: Option<TlsConnector>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.target).finish()
    }
}

impl Connector {
    /// Connects to `target`, or to the only service of this user. `authorities` is a file with the certificate authorities to
    /// trust.
    ///
    /// # Errors
    ///
    /// One line: there is no service, there are several, or there are no certificate authorities.
    pub(super) fn new(target: Option<&AdminTarget>, authorities: Option<&Path>) -> Result<Self, String> {
        let target = target.cloned().map_or_else(only_service, Ok)?;
        let tls = match target {
            AdminTarget::Https(_) => Some(TlsConnector::from(Arc::new(tls_config(authorities)?))),
            AdminTarget::Http(_) | AdminTarget::Unix(_) => None,
        };
        Ok(Self { target, tls })
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn connect(&self) -> Result<Box<dyn Connection>, String> {
        let failed = |error: io::Error| error.to_string();
        let (authority, default_port) = match &self.target {
            AdminTarget::Unix(path) => {
                return Ok(Box::new(UnixStream::connect(path).await.map_err(failed)?));
            }
            AdminTarget::Http(authority) => (authority, HTTP_PORT),
            AdminTarget::Https(authority) => (authority, HTTPS_PORT),
        };
        let address = (host(authority), authority.port_u16().unwrap_or(default_port));
        let socket = TcpStream::connect(address).await.map_err(failed)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(socket)) };
        let name = ServerName::try_from(host(authority).to_owned()).map_err(|error| error.to_string())?;
        Ok(Box::new(tls.connect(name, socket).await.map_err(|error| tls_failed(&error))?))
    }
}

/// Says what is wrong if the other end answers in plain text.
fn tls_failed(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            format!("{error}; perhaps the port speaks plain HTTP, which is written `http:`")
        }
        _ => error.to_string(),
    }
}

fn host(authority: &Authority) -> &str {
    authority.host().trim_matches(['[', ']'])
}

fn tls_config(authorities: Option<&Path>) -> Result<ClientConfig, String> {
    let failed = |error: rustls::Error| format!("cannot set up TLS: {error}");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
    Ok(builder.with_root_certificates(roots(authorities)?).with_no_client_auth())
}

fn roots(authorities: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = authorities else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(
                "this machine has no trusted root certificates: name a PEM file with --admin-ca".to_owned()
            );
        }
        return Ok(roots);
    };
    let unusable = |why: &dyn fmt::Display| format!("--admin-ca {}: {why}", file.display());
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"it contains no certificate"));
    }
    Ok(roots)
}

/// The socket of the only service of this user.
fn only_service() -> Result<AdminTarget, String> {
    let folder = socket_folder().map_err(|why| {
        format!("which service? {why}: give the service's --admin-listen with --admin or ORDERS_ADMIN")
    })?;
    let mut sockets = match folder.try_exists() {
        Ok(false) => Vec::new(),
        // An error is one of the folder: it says more than that no service is there.
        Ok(true) | Err(_) => answered_sockets(&folder)?,
    };
    match (sockets.pop(), sockets.as_slice()) {
        (None, _) => Err(format!(
            "no service listens in {}: start one, or give the --admin-listen of another one with --admin or ORDERS_ADMIN",
            folder.display()
        )),
        (Some(path), []) => Ok(AdminTarget::Unix(path)),
        (Some(last), others) => {
            let names = others.iter().chain([&last]).map(|path| format!("unix:{}", path.display()));
            Err(format!(
                "several services run here: choose one with --admin or ORDERS_ADMIN: {}",
                names.collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

/// The sockets in a folder on which services listen, in the order of their names.
fn answered_sockets(folder: &Path) -> Result<Vec<PathBuf>, String> {
    check_private(folder)?;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sock") && is_answered(path));
    paths.sort();
    Ok(paths)
}
