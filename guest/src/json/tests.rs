use std::time::{Duration, Instant};

use proptest::prelude::{prop_assert, proptest};

use super::errors::{FieldErrors, Path};
use super::name::quote_name;
use super::parse::{MAX_DEPTH, parse};
use super::value::Value;

#[test]
fn number_literals_outside_the_json_grammar_are_rejected() {
    for text in ["02", "+2", "2.", ".5", "1e", "0x10", "NaN", "Infinity", "-", "--2", "1_000", "1e999"] {
        assert!(parse(text.as_bytes(), &[]).is_err(), "{text}");
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
        let detail = parse(text.as_bytes(), &[]).unwrap_err();
        assert!(detail.contains(&format!("duplicate member {name}")), "{detail}");
        assert!(detail.contains("at line 1 column "), "{detail}");
    }
    for text in [r#"{"a":1,"A":1}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":{"a":{"a":1}}}"#] {
        assert!(parse(text.as_bytes(), &[]).is_ok(), "{text}");
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
        let detail = parse(text.as_bytes(), &[]).unwrap_err();
        assert!(detail.contains(place), "{text}: {detail}");
    }
}

#[test]
fn lone_surrogates_are_rejected_and_pairs_accepted() {
    for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, r#"{"\ud800":1}"#] {
        assert!(parse(text.as_bytes(), &[]).is_err(), "{text}");
    }
    assert!(matches!(parse(br#""\ud83d\ude00""#, &[]), Ok(Value::String(text)) if text == "😀"));
}

#[test]
fn invalid_utf_8_is_rejected() {
    for body in [&b"\"\xff\""[..], b"\xc3", b"{\"a\":\"\xed\xa0\x80\"}", b"\"\xc0\xaf\"", b"\xff\xfe{\0}\0"] {
        assert!(parse(body, &[]).unwrap_err().contains("not valid UTF-8"), "{body:?}");
    }
}

#[test]
fn a_byte_order_mark_is_rejected() {
    assert!(parse("\u{feff}{}".as_bytes(), &[]).unwrap_err().contains("byte order mark"));
}

#[test]
fn an_empty_body_is_rejected_with_a_hint_that_an_object_is_required() {
    for body in ["", " ", "\r\n\t "] {
        assert!(parse(body.as_bytes(), &[]).unwrap_err().contains("a JSON object is required"), "{body:?}");
    }
}

/// Runs on a native thread with a stack of 128 KiB.
#[test]
fn deep_nesting_is_rejected_before_the_stack_overflows() {
    let bomb = || {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            let levels = usize::from(MAX_DEPTH) / close.len();
            let nested = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert!(parse(nested(levels).as_bytes(), &[]).is_ok());
            for levels in [levels + 1, 127, 128, 129, 100_000] {
                let detail = parse(nested(levels).as_bytes(), &[]).unwrap_err();
                assert!(detail.contains("nested deeper than 32 levels at line 1 column"), "{detail}");
                // Also without the closing brackets.
                assert!(parse(open.repeat(levels).as_bytes(), &[]).is_err());
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
    assert!(parse(members(|index| index.to_string()).as_bytes(), &[]).is_ok());
    assert!(parse(members(|index| format!("{:06}", 100_000 - index)).as_bytes(), &[]).is_ok());
    assert!(parse(members(|index| (index % 99_999).to_string()).as_bytes(), &[]).is_err());
    assert!(parse(members(|_| "same".to_owned()).as_bytes(), &[]).is_err());
    assert!(parse(format!("[{}0]", "{},".repeat(300_000)).as_bytes(), &[]).is_ok());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_long_name_is_truncated_in_error_messages() {
    assert_eq!(quote_name("a\"b"), r#""a\"b""#);
    assert_eq!(quote_name(&"é".repeat(64)), format!("{:?}", "é".repeat(64)));
    assert_eq!(quote_name(&"é".repeat(65)), format!("{:?}…", "é".repeat(64)));
    let body = format!("{{{0:?}:1,{0:?}:1}}", "n".repeat(100_000));
    assert!(parse(body.as_bytes(), &[]).unwrap_err().len() < 300);
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

/// Whether the value equals that of serde_json, apart from the representation of numbers.
fn same(value: &Value<'_>, other: &serde_json::Value) -> bool {
    match (value, other) {
        (Value::Null, serde_json::Value::Null) | (Value::Bool, serde_json::Value::Bool(_)) => true,
        (Value::Number(Some(whole)), serde_json::Value::Number(other)) => {
            other.as_i64().is_none_or(|other| *whole == other)
        }
        (Value::Number(None), serde_json::Value::Number(other)) => {
            other.as_f64().is_some_and(|it| it.fract() != 0.0)
        }
        (Value::String(text), serde_json::Value::String(other)) => text == other,
        (Value::Array(elements, count), serde_json::Value::Array(others)) => {
            *count == others.len() && elements.iter().zip(others).all(|(one, other)| same(one, other))
        }
        (Value::Object(members), serde_json::Value::Object(others)) => {
            members.len() == others.len()
                && members.iter().all(|(name, one)| others.get(&**name).is_some_and(|other| same(one, other)))
        }
        _ => false,
    }
}

/// A body with a megabyte of mistakes is answered as quickly as one with fifty: no text is made that nobody gets.
#[test]
fn the_texts_of_errors_that_are_not_listed_are_not_made() {
    let mut errors = FieldErrors::default();
    let mut made = 0;
    for _ in 0..1000 {
        errors.add_with(&Path::Root, || {
            made += 1;
            "wrong".into()
        });
    }
    assert!(errors.is_truncated());
    assert_eq!((made, errors.into_parts().0.len()), (50, 50));
}

#[test]
fn the_elements_of_an_array_beyond_those_kept_are_counted() {
    let body = format!("[{}0]", "0,".repeat(500_000));
    let Ok(Value::Array(elements, count)) = parse(body.as_bytes(), &[]) else { panic!("it is an array") };
    assert_eq!((elements.len(), count), (1000, 500_001));
}

/// serde_json would round it to 1.
#[test]
fn a_named_number_is_decided_from_its_digits() {
    let body = br#"{"a":1.0000000000000001,"b":1.0000000000000001,"c":"x","d":{"a":[1]},"e":1e400}"#;
    let Ok(Value::Object(members)) = parse(body, &["a", "c", "d", "e"]) else { panic!("it is an object") };
    let values: Vec<_> = members.into_iter().map(|(_, value)| value).collect();
    assert_eq!(values[..3], [Value::Number(None), Value::Number(Some(1)), Value::String("x".into())]);
    assert!(matches!(&values[3], Value::Object(members) if matches!(members[0].1, Value::Array(_, 1))));
    assert_eq!(values[4], Value::Number(Some(i64::MAX)));
    let detail = parse(br#"{"a":{"x":1,"x":2}}"#, &["a"]).unwrap_err();
    assert!(detail.contains("duplicate member \"x\""), "{detail}");
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_rejected(body: Vec<u8>) {
        _ = parse(&body, &[]);
    }

    #[test]
    fn near_json_is_parsed_like_serde_json(text in "([\\[\\]{}:, 0-9.eE\"a\\\\u+-]|null|true|\"a\":){0,40}") {
        if let Ok(value) = parse(text.as_bytes(), &[]) {
            prop_assert!(same(&value, &serde_json::from_str(&text).unwrap()));
        }
    }

    #[test]
    fn every_string_is_parsed(text: String) {
        let body = serde_json::to_vec(&text).unwrap();
        prop_assert!(matches!(parse(&body, &[]), Ok(Value::String(parsed)) if parsed == text));
    }
}
