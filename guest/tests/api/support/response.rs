//! Responses.

use std::io::Read;

use flate2::read::GzDecoder;
use orders_guest::platform::Response;
use serde_json::Value;

/// A response, with the accessors and assertions that tests use.
#[derive(Debug)]
pub(crate) struct TestResponse(pub(crate) Response);

impl TestResponse {
    pub(crate) fn status(&self) -> u16 {
        self.0.status
    }

    /// The value of a header field, if present. Fails if the field occurs twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.0.headers.iter().filter(|(other, _)| *other == name).map(|(_, value)| value);
        let value = values.next();
        assert!(values.next().is_none(), "{name} occurs twice: {self:?}");
        value.map(String::as_str)
    }

    /// The content without its coding.
    pub(crate) fn decoded(&self) -> Vec<u8> {
        let mut content = Vec::new();
        match self.header("content-encoding") {
            Some("gzip") => _ = GzDecoder::new(&*self.0.body).read_to_end(&mut content).unwrap(),
            coding => {
                assert_eq!(coding, None);
                content.clone_from(&self.0.body);
            }
        }
        content
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.0.body).unwrap()
    }

    /// Checks that this is a well-formed problem of the given kind. Returns its detail.
    pub(crate) fn problem(&self, status: u16, slug: &str) -> String {
        assert_eq!(self.status(), status, "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["type"], format!("/problems/{slug}"));
        assert_eq!(problem["status"], status);
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(problem["instance"].is_string());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        problem["detail"].as_str().unwrap().to_owned()
    }

    /// The pointers and details of an invalid body.
    pub(crate) fn field_errors(&self) -> Vec<(String, String)> {
        self.problem(422, "invalid-body");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let problem = self.json();
        let errors = problem["errors"].as_array().unwrap();
        errors.iter().map(|error| (text(&error["pointer"]), text(&error["detail"]))).collect()
    }
}

/// The version of a UUID: the first digit of its third group. Checks the form and the variant (RFC 9562 §4.1).
pub(crate) fn uuid_version(text: &str) -> char {
    let groups: Vec<&str> = text.split('-').collect();
    assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{text}");
    assert!(groups[3].starts_with(['8', '9', 'a', 'b']), "{text}");
    groups[2].chars().next().unwrap()
}
