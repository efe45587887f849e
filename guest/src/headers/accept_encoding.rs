//! Content codings by `Accept-Encoding` (RFC 9110 §12.5.3).

use super::accept::parse_weighted;
use super::grammar::split_list;
use crate::platform::Request;

/// Whether the client accepts gzip, and does not prefer content without a coding. Elements that cannot be parsed are ignored.
pub(crate) fn accepts_gzip(request: &dyn Request) -> bool {
    let values = request.header("accept-encoding");
    let values = values.iter().filter_map(|value| std::str::from_utf8(value).ok());
    prefers_gzip(values.flat_map(split_list))
}

fn prefers_gzip<'list>(elements: impl Iterator<Item = &'list str>) -> bool {
    let (mut gzip, mut identity, mut others) = (None, None, 0);
    for (coding, weight) in elements.filter_map(parse_weighted) {
        match coding.as_str() {
            // §8.4.1.3: both names mean the same.
            "gzip" | "x-gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => others = weight,
            _ => {}
        }
    }
    let gzip = gzip.unwrap_or(others);
    gzip > 0 && gzip >= identity.unwrap_or(others)
}

#[cfg(test)]
mod tests {
    use super::prefers_gzip;
    use crate::headers::grammar::split_list;
    use proptest::prelude::proptest;

    #[test]
    fn gzip_is_used_if_it_is_accepted_and_not_less_welcome_than_no_coding() {
        for (field, expected) in [
            ("gzip", true),
            ("GZip", true),
            ("x-gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
            ("*", true),
            ("*;q=0, gzip", true),
            ("identity;q=0.5, gzip;q=0.5", true),
            ("gzip;q=0.001", true),
            ("gzip;q=x, *", true),
            ("identity;q=0, *", true),
            ("", false),
            ("br", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("*, gzip;q=0", false),
            ("gzip;q=0.5, identity", false),
            ("gzip;q=0.5, *", false),
            ("gzip;q=x", false),
            ("gzipped", false),
            ("\"gzip\"", false),
        ] {
            assert_eq!(prefers_gzip(split_list(field)), expected, "{field}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_handled(field in ".{0,40}|[a-z*;,=q.0-9\" \\\\]{0,40}") {
            _ = prefers_gzip(split_list(&field));
        }
    }
}
