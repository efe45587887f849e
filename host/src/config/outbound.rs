//! `--allow-outbound`: a server that a component may send requests to.

use std::{fmt, net::Ipv6Addr, str::FromStr};

use super::values::{List, list};

/// The default port of the `http` scheme (RFC 9110, section 4.2.1).
pub const HTTP_PORT: u16 = 80;
/// Maximum length of a host name (RFC 1035, section 2.3.4).
const MAX_HOST_NAME: usize = 253;

/// A server that a component may send requests to, written `api.example.com` or `api.example.com:8080`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundServer {
    /// A name in lower case, an IPv4 address, or an IPv6 address in brackets.
    host: String,
    port: u16,
}

impl OutboundServer {
    /// Whether a request to `host` and `port` goes to this server. Names are compared without regard to case and are not
    /// resolved.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        self.port == port && (self.host.eq_ignore_ascii_case(host) || is_same_ipv6(&self.host, host))
    }
}

/// Parses servers with `,` between them.
pub(super) fn servers(text: &str) -> Result<List<OutboundServer>, String> {
    list(text, ',', str::parse)
}

impl FromStr for OutboundServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.rsplit_once(':') {
            // An IPv6 address without a port: its last colon is inside the brackets.
            Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0),
            None => Some(HTTP_PORT),
        };
        match port {
            Some(port) if is_valid_host(host) => Ok(Self { host: host.to_ascii_lowercase(), port }),
            _ => {
                Err("a server is written like `api.example.com` or `api.example.com:8080`: one host name or address, \
                      without a scheme, a path or a `*`"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for OutboundServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn is_valid_host(text: &str) -> bool {
    if text.starts_with('[') {
        return ipv6(text).is_some();
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.len() <= MAX_HOST_NAME && text.split('.').all(label)
}

/// Whether both are the same IPv6 address. One address can be written in several ways.
fn is_same_ipv6(one: &str, other: &str) -> bool {
    ipv6(one).is_some_and(|one| ipv6(other) == Some(one))
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::OutboundServer;

    #[test]
    fn a_server_matches_by_name_and_port() {
        let server = |text: &str| text.parse::<OutboundServer>().ok();
        let named = server("API.example.com").unwrap();
        assert_eq!(named.to_string(), "api.example.com:80");
        assert!(named.matches("api.Example.com", 80));
        for (host, port) in [("api.example.com", 8080), ("example.com", 80), ("api.example.com.", 80)] {
            assert!(!named.matches(host, port), "{host}:{port}");
        }
        assert!(server("10.0.0.1:9000").unwrap().matches("10.0.0.1", 9000));
        assert!(server("[::1]").unwrap().matches("[0:0::1]", 80));
        assert!(server("[::1]:8080").unwrap().matches("[::1]", 8080));
        assert!(!server("[::1]:8080").unwrap().matches("[::2]", 8080));
    }

    #[test]
    fn malformed_servers_are_rejected() {
        let long = "a.".repeat(127);
        let bad = [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:b",
            "*.example.com",
            "http://a",
            "a/b",
            "a b",
            "a@b",
            "a..b",
            "a.",
            "::1",
            "[::1",
            "[::1]x",
            "[a]",
            "é.example",
            &long,
        ];
        for text in bad {
            assert!(text.parse::<OutboundServer>().is_err(), "{text}");
        }
    }
}
