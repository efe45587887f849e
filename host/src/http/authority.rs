//! Whether an authority (a host, optionally followed by a colon and a port) may be passed to a component.
//!
//! A component makes a URL of it, and most libraries that parse URLs throw on an invalid one. What they throw on must
//! be the client's fault, not the component's.

use std::net::Ipv4Addr;

/// Whether RFC 3986 (section 3.2) and the URL standard (<https://url.spec.whatwg.org/#host-parsing>) both accept the
/// authority of an `http` URL. User information is not accepted, and neither is an empty host.
pub fn is_valid(authority: &[u8]) -> bool {
    let Ok(authority) = str::from_utf8(authority) else { return false };
    // The colons within brackets belong to an IPv6 address.
    let colon = match authority.bytes().next() {
        Some(b'[') => authority.find("]:").map(|bracket| bracket + 1),
        _ => authority.find(':'),
    };
    let (host, port) = colon.and_then(|at| authority.split_at_checked(at)).unwrap_or((authority, ":"));
    let is_host = is_ordinary_name(host) || host.parse::<Ipv4Addr>().is_ok() || is_host(host);
    is_host && port.strip_prefix(':').is_some_and(is_port)
}

/// Whether the parser certainly accepts the host, for which it takes several times as long: a name without two hyphens in
/// sequence, as Punycode has, and with a last label that does not begin like a number.
fn is_ordinary_name(host: &str) -> bool {
    let last = host.rsplit_once('.').map_or(host, |(_, last)| last);
    last.starts_with(|first: char| first.is_ascii_alphabetic())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && !host.contains("--")
}

fn is_host(host: &str) -> bool {
    host.bytes().all(is_host_character) && url::Host::parse(host).is_ok()
}

/// Whether a host may contain the byte (RFC 3986, section 3.2.2).
fn is_host_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

/// A port may be empty (RFC 3986, section 3.2.3), and may have leading zeros.
fn is_port(port: &str) -> bool {
    let digits = port.trim_start_matches('0');
    port.bytes().all(|byte| byte.is_ascii_digit()) && (digits.is_empty() || digits.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        let valid = "a a. a.b A_b-c.D a: a:0 a:00080 a:65535 localhost:8080 1.2.3.4 1.2.3.4:80 127.1 0x7f.1 0x. 1a a%41 \
                     a!$&'()*+,;=~b [::1] [::1]:80 [::ffff:1.2.3.4] xn--nxasmq6b";
        for authority in valid.split_whitespace() {
            assert!(is_valid(authority.as_bytes()), "{authority}");
        }
        let invalid = "a:b a:b:c a:80:80 a::80 : :80 ::1 [::1 ::1] [::1]x [::1]80 [::1]:x [] [a] [v1.a] [fe80::1%25eth0] a[ a] \
                       x:-1 x:+1 x:65536 x:99999 x:18446744073709551617 x:1_0 a% a%4 a%zz a%00 a%20b a%2fb a%3a a%ff % \
                       1.2.3.256 1.2.3.4.5 4294967296 0x100000000 a.1 a.0x1 1.2.3.4:x xn-- a.xn--a XN--0 u@a u:p@a a/b a?b \
                       a#b a\\b a^b a|b a<b a>b a{b a\"b a`b \u{e4} a\u{7f}";
        for authority in invalid.split(' ').chain(["", "a b", "a\tb"]) {
            assert!(!is_valid(authority.as_bytes()), "{authority}");
        }
        assert!(!is_valid(b"a\xff"));
    }

    /// The fast path for ordinary names and the split at the colon accept and refuse what a parser of whole URLs does.
    fn check_as_url(authority: &str) {
        let accepted = Url::parse(&format!("http://{authority}/")).is_ok();
        let expected = accepted && authority.bytes().all(is_host_character);
        assert_eq!(is_valid(authority.as_bytes()), expected, "{authority}");
    }

    #[test]
    fn short_authorities_are_valid_as_in_a_url() {
        let characters = b"a0x9-.:%[]f";
        let mut authorities = vec![String::new()];
        for _ in 0..5 {
            authorities.iter().for_each(|authority| check_as_url(authority));
            authorities = authorities
                .iter()
                .flat_map(|start| characters.iter().map(move |next| format!("{start}{}", char::from(*next))))
                .collect();
        }
    }

    proptest! {
        #[test]
        fn an_authority_is_valid_as_in_a_url(authority in "([a-zA-Z0-9_~!$&'()*+,;=.-]|[xX][nN]--|%[0-9a-fA-F]{2}|0x|[.:%\\[\\]]){0,12}(:[0-9]{0,6})?") {
            check_as_url(&authority);
        }

        #[test]
        fn an_address_is_valid_as_in_a_url(authority in "\\[[0-9a-f:]{0,12}(::)?[0-9a-f:.]{0,12}\\]?(:[0-9]{0,6})?|[0-9x.]{1,16}") {
            check_as_url(&authority);
        }
    }
}
