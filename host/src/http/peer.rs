//! Where a request comes from: the other end of its connection, or the client that a trusted load balancer names.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderName, header::FORWARDED};
use tokio::net::TcpStream;

use crate::config::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Stands for an element that cannot be read: it is no address.
const UNREADABLE: &str = "?";

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// `None` if the client has already left.
    address: Option<IpAddr>,
    /// The load balancers, if this is one of them.
    proxies: Option<TrustedProxies>,
}

impl Peer {
    /// The other end of `socket`, which may be one of the load balancers.
    pub fn of(socket: &TcpStream, proxies: &TrustedProxies) -> Self {
        Self::new(socket.peer_addr().ok().map(|address| address.ip()), proxies)
    }

    fn new(address: Option<IpAddr>, proxies: &TrustedProxies) -> Self {
        // A socket for both versions of IP shows IPv4 addresses within IPv6 ones.
        let address = address.map(|address| address.to_canonical());
        let is_trusted = address.is_some_and(|address| proxies.contain(address));
        Self { address, proxies: is_trusted.then(|| proxies.clone()) }
    }

    /// Its address.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The client that sent a request with these header fields.
    ///
    /// That is the peer, unless it is a load balancer. Each load balancer appends the address from which it got the request, so
    /// the fields are read from their end, and the first address that is not a load balancer's is the client's: a client can
    /// forge only what is before it. A load balancer that sets one of the two fields passes on the other, so if they disagree,
    /// one is forged, and neither counts; nor does a field that cannot be read.
    pub fn client(&self, fields: &HeaderMap) -> Client {
        let peer = Client { address: self.address, disputed: None };
        let Some(proxies) = &self.proxies else { return peer };
        let appended = lines(fields, &X_FORWARDED_FOR).map(|lines| {
            last_client(lines.iter().flat_map(|line| line.rsplit(',')).map(address_in), proxies)
        });
        let forwarded = lines(fields, &FORWARDED).map(|lines| {
            let elements =
                lines.iter().flat_map(|line| split(line, ',').unwrap_or(vec![UNREADABLE]).into_iter().rev());
            last_client(elements.map(forwarded_for), proxies)
        });
        match (appended, forwarded) {
            (Some(one), Some(other)) if one != other => Client { disputed: Some([one, other]), ..peer },
            (Some(client), _) | (None, Some(client)) => Client { address: client.or(self.address), ..peer },
            (None, None) => peer,
        }
    }
}

/// The client of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; that of the load balancer if nothing better is known.
    pub address: Option<IpAddr>,
    /// What `X-Forwarded-For` and `Forwarded` say, if they disagree.
    pub disputed: Option<[Option<IpAddr>; 2]>,
}

/// The first of the addresses that is not a load balancer's, or the last one of all; `None` if one before it is unknown.
fn last_client(addresses: impl Iterator<Item = Option<IpAddr>>, proxies: &TrustedProxies) -> Option<IpAddr> {
    let mut client = None;
    for address in addresses {
        client = Some(address?);
        if !proxies.contain(address?) {
            break;
        }
    }
    client
}

/// The lines of a list field, the last one first; `None` if there is no such field. Together they are one list (RFC 9110, section
/// 5.3), but what a client wrote into its lines must not change how those of a load balancer are read. Nor
/// do bytes beyond ASCII: only the element that contains them is unreadable.
fn lines<'a>(fields: &'a HeaderMap, name: &HeaderName) -> Option<Vec<Cow<'a, str>>> {
    let lines = fields.get_all(name).into_iter().rev().map(|line| String::from_utf8_lossy(line.as_bytes()));
    fields.contains_key(name).then(|| lines.collect())
}

/// The address in one element of `X-Forwarded-For`: some load balancers add a port.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim_ascii();
    let in_brackets =
        || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6);
    let address = text.parse().ok().or_else(in_brackets);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// The address in the parameter `for` of one element of `Forwarded` (RFC 7239, section 4). An obfuscated name or `unknown` is no
/// address.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut clients = split(element, ';')?.into_iter().filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim_ascii().eq_ignore_ascii_case("for").then_some(value.trim_ascii())
    });
    let (value, None) = (clients.next()?, clients.next()) else { return None };
    match value.strip_prefix('"') {
        // No address contains a character that would be escaped.
        Some(quoted) => address_in(quoted.strip_suffix('"')?),
        None => address_in(value),
    }
}

/// The parts of `text` between separators that are not within quotes; `None` if a quote has no end. A client could otherwise
/// hide what load balancers append.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let parts = text.split(|character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        character == separator && !is_quoted
    });
    let parts = parts.collect();
    (!is_quoted).then_some(parts)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{Cli, Command};

    fn proxies() -> TrustedProxies {
        let options =
            ["orders-host", "serve", "--component", "x", "--trusted-proxies", "10.0.0.0/16,2001:db8::/32"];
        let Command::Serve(config) = Cli::parse_from(options).command else { panic!("it serves") };
        config.log.proxies()
    }

    /// The client of a request from `peer` with such fields.
    fn client(peer: &str, fields: &[(&str, &str)]) -> String {
        let peer = Peer::new(Some(peer.parse().unwrap()), &proxies());
        let fields = fields.iter().map(|(name, value)| {
            (name.parse::<HeaderName>().unwrap(), http::HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        let mut all = HeaderMap::new();
        for (name, value) in fields {
            all.append(name, value);
        }
        let Client { address, disputed } = peer.client(&all);
        assert_eq!(disputed.is_some(), all.keys_len() > 1 && address == peer.address, "{all:?}");
        address.unwrap().to_string()
    }

    #[test]
    fn a_trusted_load_balancer_says_where_a_request_comes_from() {
        for (value, expected) in [
            ("198.51.100.7", "198.51.100.7"),
            ("198.51.100.7:4711", "198.51.100.7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("2001:dead::1", "2001:dead::1"),
            ("[2001:dead::1]", "2001:dead::1"),
            ("[2001:dead::1]:4711", "2001:dead::1"),
            // What is before the client's address may be forged.
            ("1.2.3.4, 198.51.100.7", "198.51.100.7"),
            ("nonsense,198.51.100.7 , 10.0.3.4,\t2001:db8::7", "198.51.100.7"),
            // A request from within: the first of them all.
            ("10.0.3.4, 10.0.5.6", "10.0.3.4"),
            // What cannot be read does not count.
            ("", "10.0.0.9"),
            ("unknown", "10.0.0.9"),
            ("198.51.100.7, unknown", "10.0.0.9"),
            ("198.51.100.7, unknown, 10.0.3.4", "10.0.0.9"),
            ("198.51.100.7,", "10.0.0.9"),
            ("198.51.100.256", "10.0.0.9"),
            ("198.51.100.7:99999", "10.0.0.9"),
            ("[198.51.100.7]", "10.0.0.9"),
            ("198.51.100.7 198.51.100.8", "10.0.0.9"),
            ("fe80::1%eth0", "10.0.0.9"),
            ("ä", "10.0.0.9"),
            ("198.51.100.7, ä", "10.0.0.9"),
            ("198.51.100.7\u{a0}", "10.0.0.9"),
            // Nor does it hide what follows.
            ("ä, 198.51.100.7", "198.51.100.7"),
            ("1.2.3.4ä, 198.51.100.7, 10.0.3.4", "198.51.100.7"),
        ] {
            assert_eq!(client("10.0.0.9", &[("x-forwarded-for", value)]), expected, "{value}");
            // A client that is no load balancer says nothing.
            assert_eq!(client("198.51.100.99", &[("x-forwarded-for", value)]), "198.51.100.99", "{value}");
        }
        assert_eq!(client("::ffff:10.0.0.9", &[]), "10.0.0.9");
        assert_eq!(client("::ffff:10.0.0.9", &[("x-forwarded-for", "198.51.100.7")]), "198.51.100.7");
        let lines = [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-for", "10.0.3.4")];
        assert_eq!(client("10.0.0.9", &lines), "198.51.100.7");
    }

    #[test]
    fn forwarded_is_read_as_its_standard_says() {
        for (value, expected) in [
            ("for=198.51.100.7", "198.51.100.7"),
            ("For=\"198.51.100.7:4711\";proto=http;by=203.0.113.43", "198.51.100.7"),
            ("proto=https; for=\"[2001:dead::1]:4711\"", "2001:dead::1"),
            ("for=\"[2001:dead::1]\"", "2001:dead::1"),
            ("for=1.2.3.4, for=198.51.100.7;by=\"a,b;for=5.6.7.8\", for=10.0.3.4", "198.51.100.7"),
            ("for=198.51.100.7;by=\"\\\",\"", "198.51.100.7"),
            // Nothing that is appended can be hidden in quotes.
            ("for=1.2.3.4;by=\"x, for=198.51.100.7", "10.0.0.9"),
            ("for=1.2.3.4;by=\"x, for=\"198.51.100.7:4711\"", "10.0.0.9"),
            ("for=1.2.3.4;by=\"x\\, for=\"198.51.100.7:4711\"", "10.0.0.9"),
            ("for=1.2.3.4;by=ä, for=198.51.100.7", "198.51.100.7"),
            ("for=\"ä,\", for=198.51.100.7;by=\"ä\", for=10.0.3.4", "198.51.100.7"),
            ("for=198.51.100.7, for=ä", "10.0.0.9"),
            ("for=_hidden", "10.0.0.9"),
            ("for=unknown", "10.0.0.9"),
            ("for=\"198.51.100.7", "10.0.0.9"),
            ("for=198.51.100.7;for=198.51.100.8", "10.0.0.9"),
            ("for=198.51.100.7, proto=http", "10.0.0.9"),
            ("198.51.100.7", "10.0.0.9"),
            ("", "10.0.0.9"),
        ] {
            assert_eq!(client("10.0.0.9", &[("forwarded", value)]), expected, "{value}");
        }
    }

    #[test]
    fn a_client_cannot_hide_what_a_load_balancer_appends_on_a_line_of_its_own() {
        for (name, forged, appended) in [
            ("forwarded", "for=1.2.3.4;by=\"x", "for=198.51.100.7"),
            ("forwarded", "ä", "for=198.51.100.7"),
            ("x-forwarded-for", "1.2.3.4,\"", "198.51.100.7, 10.0.3.4"),
            ("x-forwarded-for", "ä", "198.51.100.7"),
        ] {
            assert_eq!(client("10.0.0.9", &[(name, forged), (name, appended)]), "198.51.100.7", "{forged}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_hide_what_follows() {
        for (name, value) in [
            ("x-forwarded-for", &b"\xe9, 198.51.100.7"[..]),
            ("x-forwarded-for", b"1.2.3.4\xc3,198.51.100.7"),
            ("forwarded", b"for=\xf0\x9f, for=198.51.100.7"),
            ("forwarded", b"for=\"\xe9\", for=198.51.100.7;by=\"\xe9\""),
        ] {
            let name: HeaderName = name.parse().unwrap();
            let fields = HeaderMap::from_iter([(name, http::HeaderValue::from_bytes(value).unwrap())]);
            let peer = Peer::new(Some("10.0.0.9".parse().unwrap()), &proxies());
            assert_eq!(peer.client(&fields).address, "198.51.100.7".parse().ok(), "{fields:?}");
        }
    }

    #[test]
    fn fields_that_disagree_do_not_count() {
        for (appended, forwarded, expected) in [
            ("198.51.100.7", "for=198.51.100.7", "198.51.100.7"),
            ("198.51.100.7", "for=1.2.3.4", "10.0.0.9"),
            ("1.2.3.4, 10.0.3.4", "for=198.51.100.7", "10.0.0.9"),
            ("198.51.100.7", "nonsense", "10.0.0.9"),
        ] {
            let fields = [("x-forwarded-for", appended), ("forwarded", forwarded)];
            assert_eq!(client("10.0.0.9", &fields), expected, "{appended} {forwarded}");
        }
    }
}
