use std::borrow::Cow;
use std::time::{Duration, Instant};

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::errors::{FieldErrors, Path};
use super::name::quote_name;
use super::parse::{MAX_DEPTH, parse};
use super::value::Value;

/// "JSON integers may be written `2` or `2.0`, as JSON Schema has it".
#[test]
fn whole_numbers_and_fractions_are_distinguished_in_any_notation() {
    for (text, expected) in [
        ("2", Value::Integer(2)),
        ("2.0", Value::Integer(2)),
        ("2.000", Value::Integer(2)),
        ("1e2", Value::Integer(100)),
        ("1E+2", Value::Integer(100)),
        ("2000e-3", Value::Integer(2)),
        ("0.2e1", Value::Integer(2)),
        ("-0", Value::Integer(0)),
        ("-0.0", Value::Integer(0)),
        ("-7", Value::Integer(-7)),
        ("9007199254740993", Value::Integer(9_007_199_254_740_993)),
        ("9223372036854775807", Value::Integer(i64::MAX)),
        ("-9223372036854775808", Value::Integer(i64::MIN)),
        ("9223372036854775808", Value::Integer(i64::MAX)),
        ("18446744073709551615", Value::Integer(i64::MAX)),
        ("18446744073709551616", Value::Integer(i64::MAX)),
        ("-9223372036854775809", Value::Integer(i64::MIN)),
        ("1e300", Value::Integer(i64::MAX)),
        ("-1e300", Value::Integer(i64::MIN)),
        ("2.5", Value::Fraction),
        ("1e-1", Value::Fraction),
        ("25e-1", Value::Fraction),
        ("-0.000001", Value::Fraction),
        ("5e-324", Value::Fraction),
    ] {
        assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
    }
}

#[test]
fn number_literals_outside_the_json_grammar_are_rejected() {
    for text in ["02", "+2", "2.", ".5", "1e", "0x10", "NaN", "Infinity", "-", "--2", "1_000", "1e999"] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
}

/// "Duplicate members are 400", at any depth and with escapes in the name.
#[test]
fn duplicate_members_are_rejected() {
    for (text, name) in [
        (r#"{"a":1,"a":1}"#, "\"a\""),
        (r#"{"a":1,"b":2,"\u0061":3}"#, "\"a\""),
        (r#"[{"x":{"b":null,"c":1,"b":null}}]"#, "\"b\""),
        (r#"{"":1,"":2}"#, "\"\""),
        (r#"{"é":1,"\u00e9":2}"#, "\"é\""),
    ] {
        let detail = parse(text.as_bytes()).unwrap_err();
        assert!(detail.contains(&format!("duplicate member {name}")), "{detail}");
        assert!(detail.contains("at line 1 column "), "{detail}");
    }
    for text in [r#"{"a":1,"A":1}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":{"a":{"a":1}}}"#] {
        assert!(parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn syntax_errors_report_line_and_column() {
    for (text, place) in [
        ("{\n  \"a\": 1,\n}", "line 3 column 1"),
        ("[1 2]", "line 1 column 4"),
        ("{\"a\":1} x", "line 1 column 9"),
        ("{\"a\"", "line 1 column 4"),
        ("{\n\n", "line 3 column 0"),
        ("tru", "line 1 column 3"),
        ("{'a':1}", "line 1 column 2"),
        ("{1:1}", "line 1 column 2"),
        ("\"a\u{1}\"", "line 1 column 3"),
        (r#""\x""#, "line 1 column 3"),
    ] {
        let detail = parse(text.as_bytes()).unwrap_err();
        assert!(detail.contains(place), "{text}: {detail}");
    }
}

#[test]
fn lone_surrogates_are_rejected_and_pairs_accepted() {
    for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, r#"{"\ud800":1}"#] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(parse(br#""\ud83d\ude00""#), Ok(Value::String(Cow::Borrowed("😀"))));
}

#[test]
fn invalid_utf_8_is_rejected() {
    for body in [&b"\"\xff\""[..], b"\xc3", b"{\"a\":\"\xed\xa0\x80\"}", b"\"\xc0\xaf\"", b"\xff\xfe{\0}\0"] {
        assert!(parse(body).unwrap_err().contains("not valid UTF-8"), "{body:?}");
    }
}

#[test]
fn a_byte_order_mark_is_rejected() {
    assert!(parse("\u{feff}{}".as_bytes()).unwrap_err().contains("byte order mark"));
}

#[test]
fn an_empty_body_is_rejected_with_a_hint_that_an_object_is_required() {
    for body in ["", " ", "\r\n\t "] {
        assert!(parse(body.as_bytes()).unwrap_err().contains("a JSON object is required"), "{body:?}");
    }
}

/// Runs on a native thread with a stack of 128 KiB.
#[test]
fn deep_nesting_is_rejected_before_the_stack_overflows() {
    let bomb = || {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let levels = usize::from(MAX_DEPTH) / close.len();
            let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert!(parse(nested(levels).as_bytes()).is_ok());
            for levels in [levels + 1, 127, 128, 129, 100_000] {
                let detail = parse(nested(levels).as_bytes()).unwrap_err();
                assert!(detail.contains("nested deeper than 32 levels at line 1 column"), "{detail}");
                // Also without the closing brackets.
                assert!(parse(open.repeat(levels).as_bytes()).is_err());
            }
        }
    };
    std::thread::Builder::new().stack_size(128 * 1024).spawn(bomb).unwrap().join().unwrap();
}

#[test]
fn large_documents_are_parsed_in_linear_time() {
    let members = |name: fn(usize) -> String| {
        let members: Vec<String> = (0..100_000).map(|index| format!("{:?}:0", name(index))).collect();
        format!("{{{}}}", members.join(","))
    };
    let started = Instant::now();
    assert!(parse(members(|index| index.to_string()).as_bytes()).is_ok());
    assert!(parse(members(|index| format!("{:06}", 100_000 - index)).as_bytes()).is_ok());
    assert!(parse(members(|index| (index % 99_999).to_string()).as_bytes()).is_err());
    assert!(parse(members(|_| "same".to_owned()).as_bytes()).is_err());
    assert!(parse(format!("[{}0]", "{},".repeat(300_000)).as_bytes()).is_ok());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_long_name_is_truncated_in_error_messages() {
    assert_eq!(quote_name("a\"b"), r#""a\"b""#);
    assert_eq!(quote_name(&"é".repeat(64)), format!("{:?}", "é".repeat(64)));
    assert_eq!(quote_name(&"é".repeat(65)), format!("{:?}…", "é".repeat(64)));
    let body = format!("{{{0:?}:1,{0:?}:1}}", "n".repeat(100_000));
    assert!(parse(body.as_bytes()).unwrap_err().len() < 300);
}

/// The examples of RFC 6901 §5.
#[test]
fn paths_are_written_as_json_pointers() {
    let root = Path::Root;
    let pointer = |path: Path<'_>| {
        let mut errors = FieldErrors::default();
        errors.add(&path, "");
        errors.into_parts().0.remove(0).pointer
    };
    assert_eq!(pointer(root), "");
    let foo = root.member("foo");
    assert_eq!(pointer(foo), "/foo");
    assert_eq!(pointer(foo.element(0)), "/foo/0");
    for (name, expected) in [
        ("", "/"),
        ("a/b", "/a~1b"),
        ("c%d", "/c%d"),
        (r"i\j", r"/i\j"),
        (" ", "/ "),
        ("m~n", "/m~0n"),
        ("~1", "/~01"),
    ] {
        assert_eq!(pointer(root.member(name)), expected);
    }
}

/// Whether the tree equals that of serde_json, apart from the representation of numbers.
fn same(value: &Value<'_>, other: &serde_json::Value) -> bool {
    match (value, other) {
        (Value::Null, serde_json::Value::Null) | (Value::Bool, serde_json::Value::Bool(_)) => true,
        (Value::Integer(number), serde_json::Value::Number(other)) => {
            other.as_i64().is_none_or(|other| *number == other)
        }
        (Value::Fraction, serde_json::Value::Number(other)) => {
            other.as_f64().is_some_and(|it| it.fract() != 0.0)
        }
        (Value::String(text), serde_json::Value::String(other)) => text == other,
        (Value::Array(elements), serde_json::Value::Array(others)) => {
            elements.len() == others.len() && elements.iter().zip(others).all(|(one, other)| same(one, other))
        }
        (Value::Object(members), serde_json::Value::Object(others)) => {
            members.len() == others.len()
                && members.iter().all(|(name, one)| others.get(&**name).is_some_and(|other| same(one, other)))
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_rejected(body: Vec<u8>) {
        _ = parse(&body);
    }

    #[test]
    fn near_json_is_parsed_like_serde_json(text in "([\\[\\]{}:, 0-9.eE\"a\\\\u+-]|null|true|\"a\":){0,40}") {
        if let Ok(value) = parse(text.as_bytes()) {
            prop_assert!(same(&value, &serde_json::from_str(&text).unwrap()), "{:?}", value);
        }
    }

    #[test]
    fn every_string_is_parsed(text: String) {
        let body = serde_json::to_vec(&text).unwrap();
        prop_assert_eq!(parse(&body), Ok(Value::String(Cow::Owned(text))));
    }

    #[test]
    fn every_notation_of_a_whole_number_is_equal(number in -1_000_000_000_000..1_000_000_000_000_i64, count in 0_usize..5) {
        let zeros = "0".repeat(count);
        for text in [
            format!("{number}"),
            format!("{number}.0{zeros}"),
            format!("{number}e0"),
            format!("{number}{zeros}E-{count}"),
        ] {
            prop_assert_eq!(parse(text.as_bytes()), Ok(Value::Integer(number)), "{}", text);
        }
    }

    #[test]
    fn a_number_with_decimals_is_a_fraction(number in -1_000_000_000..1_000_000_000_i64, fraction in 1..1_000_000_u32) {
        let text = format!("{number}.{fraction:06}");
        prop_assert_eq!(parse(text.as_bytes()), Ok(Value::Fraction));
    }

    #[test]
    fn every_integer_is_exact(number in any::<i64>()) {
        let text = number.to_string();
        prop_assert_eq!(parse(text.as_bytes()), Ok(Value::Integer(number)));
    }
}
