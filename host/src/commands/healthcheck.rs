//! `orders-host healthcheck`: the container's own probe, so that the image needs no shell and no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use crate::{commands::error::CommandError, config::HealthcheckConfig};

/// Asks a service for its health.
///
/// # Errors
///
/// [`CommandError::Failed`] if it is not healthy, or could not be asked.
pub async fn run(config: &HealthcheckConfig) -> Result<(), CommandError> {
    check(config).await.map_err(CommandError::Failed)
}

async fn check(config: &HealthcheckConfig) -> Result<(), String> {
    let address = reachable(config.listen);
    let answer = timeout(config.timeout.0, ask(address, &config.path))
        .await
        .map_err(|_| format!("{address} did not answer within {}", config.timeout))?;
    match answer {
        Ok(StatusCode::OK) => Ok(()),
        Ok(status) => Err(format!("{address}{} answered {status}", config.path)),
        Err(error) => Err(format!("cannot ask {address}: {error}")),
    }
}

async fn ask(address: SocketAddr, path: &str) -> Result<StatusCode, Box<dyn std::error::Error>> {
    let socket = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    // Only the status matters: the body is dropped, and with it the connection ends.
    let status = async { sender.send_request(request).await.map(|answer| answer.status()) };
    let (status, _) = tokio::join!(status, connection);
    Ok(status?)
}

/// A service that listens on every address is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}
