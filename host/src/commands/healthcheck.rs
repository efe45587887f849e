//! `orders-host healthcheck`: the health probe of the container, so that the image needs neither a shell nor curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{commands::error::CommandError, config::HealthcheckConfig};

/// Checks the health of a running service.
///
/// # Errors
///
/// [`CommandError::Failed`] if the service is not healthy or cannot be reached.
pub async fn run(config: &HealthcheckConfig) -> Result<(), CommandError> {
    check(config).await.map_err(CommandError::Failed)
}

async fn check(config: &HealthcheckConfig) -> Result<(), String> {
    let address = loopback_if_unspecified(config.listen);
    let response = timeout(config.timeout.0, get(address, &config.path))
        .await
        .map_err(|_| format!("{address} did not respond within {}", config.timeout))?;
    match response {
        Ok(StatusCode::OK) => Ok(()),
        Ok(status) => Err(format!("{address}{} returned {status}", config.path)),
        Err(error) => Err(format!("cannot reach {address}: {error}")),
    }
}

async fn get(address: SocketAddr, path: &Uri) -> Result<StatusCode, Box<dyn std::error::Error>> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let request = Request::get(path.clone())
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    // Only the status matters. Dropping the body ends the connection.
    let status = async { sender.send_request(request).await.map(|response| response.status()) };
    let (status, _) = tokio::join!(status, connection);
    Ok(status?)
}

/// A service that listens on every address is queried on loopback.
fn loopback_if_unspecified(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}
