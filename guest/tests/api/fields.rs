//! The rules of an order's members, each tested at both bounds, and the list of errors.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Service, full, minimal, with, without};

/// The errors in a body, each as `pointer: detail`.
fn errors(body: impl AsRef<[u8]>) -> Vec<String> {
    let service = Service::new();
    let errors = service.post(body).field_errors();
    assert!(service.store.records.borrow().is_empty(), "nothing is stored");
    errors.into_iter().map(|(pointer, detail)| format!("{pointer}: {detail}")).collect()
}

fn times(count: usize, text: &str) -> Value {
    json!(text.repeat(count))
}

fn metadata(count: usize) -> Value {
    (0..count).map(|index| (format!("m{index}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

const CUSTOMER: &str =
    "must have 1 to 200 code points, at least one of them visible, and no control characters";
const SKU: &str = "must have 1 to 64 characters from A-Z a-z 0-9 . _ -";
const NAME: &str = "must have 1 to 200 code points and no control characters";
const QUANTITY: &str = "must be from 1 to 10000";
const PRICE: &str = "must be from 0 to 1000000000000";
const NOTES: &str = "must have at most 2000 code points and no control characters other than tab and newline";
const CURRENCY: &str = "must be the ISO 4217 code of a currency in force, such as EUR";
const METADATA_NAME: &str = "must have a name of 1 to 40 characters from A-Z a-z 0-9 _ . -";
const METADATA_VALUE: &str = "must have at most 500 code points and no control characters";
const TOTAL: &str = "must have a total of at most 9007199254740991 (2^53 - 1)";

/// The table "Order" of the contract. Lengths are in code points: `é` has two bytes, `😀` has four bytes and two UTF-16 code
/// units, and `e\u{301}` is two code points that are displayed as one character.
#[test]
fn values_within_the_rules_are_accepted() {
    let item = minimal()["items"][0].clone();
    for (pointer, value) in [
        ("/customer", times(1, "c")),
        ("/customer", times(200, "é")),
        ("/customer", times(200, "😀")),
        ("/customer", times(100, "e\u{301}")),
        ("/customer", json!("\u{2003}.\u{200b}")),
        ("/currency", json!("XOF")),
        ("/items", json!(vec![item; 100])),
        ("/items/0/sku", times(64, "a")),
        ("/items/0/sku", json!("AZaz09._-")),
        ("/items/0/name", times(1, " ")),
        ("/items/0/name", times(200, "😀")),
        ("/items/0/quantity", json!(1)),
        ("/items/0/quantity", json!(10_000)),
        ("/items/0/unit_price", json!(0)),
        ("/items/0/unit_price", json!(1_000_000_000)),
        ("/items/0/unit_price", json!(900_000_000_000_u64)),
        ("/notes", json!("one\n\ttwo")),
        ("/notes", times(0, "")),
        ("/notes", times(2000, "😀")),
        ("/metadata", json!({})),
        ("/metadata", metadata(50)),
        ("/metadata/x", times(0, "")),
        ("/metadata/x", times(500, "😀")),
        ("/metadata/AZaz09_.-", json!("v")),
        (concat!("/metadata/", "a123456789b123456789c123456789d123456789"), json!("v")),
    ] {
        let order = with(full(), pointer, value);
        let response = Service::new().post(order.to_string());
        assert_eq!(response.status(), 201, "{pointer}: {}", response.text());
        assert_eq!(response.json().pointer(pointer), order.pointer(pointer));
    }
}

#[test]
fn values_outside_the_rules_are_rejected() {
    let item = minimal()["items"][0].clone();
    for (pointer, value, expected) in [
        ("/customer", times(0, ""), CUSTOMER),
        ("/customer", times(201, "c"), CUSTOMER),
        ("/customer", times(201, "😀"), CUSTOMER),
        ("/customer", json!(" \u{a0}\u{2003}\u{3000}"), CUSTOMER),
        ("/customer", json!("\u{200b}\u{ad}\u{2800}\u{feff}"), CUSTOMER),
        ("/customer", json!("a\u{0}"), CUSTOMER),
        ("/customer", json!("a\n"), CUSTOMER),
        ("/customer", json!("a\u{85}"), CUSTOMER),
        ("/currency", json!("EU"), CURRENCY),
        ("/currency", json!("eur"), CURRENCY),
        ("/currency", json!("EUR "), CURRENCY),
        ("/currency", json!("BGN"), CURRENCY),
        ("/currency", json!("XAU"), CURRENCY),
        ("/items", json!([]), "must have 1 to 100 elements, not 0"),
        ("/items", json!(vec![item; 101]), "must have 1 to 100 elements, not 101"),
        ("/items/0/sku", times(0, ""), SKU),
        ("/items/0/sku", times(65, "a"), SKU),
        ("/items/0/sku", json!("a b"), SKU),
        ("/items/0/sku", json!("a/b"), SKU),
        ("/items/0/sku", json!("é"), SKU),
        ("/items/0/sku", json!("a\n"), SKU),
        ("/items/0/name", times(0, ""), NAME),
        ("/items/0/name", times(201, "é"), NAME),
        ("/items/0/quantity", json!(0), QUANTITY),
        ("/items/0/quantity", json!(10_001), QUANTITY),
        ("/items/0/quantity", json!(-1), QUANTITY),
        ("/items/0/quantity", json!(4_294_967_297_u64), QUANTITY),
        ("/items/0/quantity", json!(u64::MAX), QUANTITY),
        ("/items/0/quantity", json!(1e300), QUANTITY),
        ("/items/0/quantity", json!(2.5), "must be a whole number, not a number with a fraction"),
        ("/items/0/quantity", json!(0.999_999_9), "must be a whole number, not a number with a fraction"),
        ("/items/0/unit_price", json!(-1), PRICE),
        ("/items/0/unit_price", json!(1_000_000_000_001_u64), PRICE),
        ("/items/0/name", json!("a\tb"), NAME),
        ("/items/0/unit_price", json!(-1e300), PRICE),
        ("/notes", times(2001, "é"), NOTES),
        ("/notes", json!("a\r\nb"), NOTES),
        ("/notes", json!("\u{0}"), NOTES),
        ("/metadata/x", json!("\u{7f}"), METADATA_VALUE),
        ("/metadata", metadata(51), "must have at most 50 members, not 51"),
        ("/metadata/x", times(501, "é"), METADATA_VALUE),
        ("/metadata/a b", json!("v"), METADATA_NAME),
        ("/metadata/é", json!("v"), METADATA_NAME),
        ("/metadata/", json!("v"), METADATA_NAME),
        (concat!("/metadata/", "a123456789b123456789c123456789d123456789e"), json!("v"), METADATA_NAME),
    ] {
        let order = with(full(), pointer, value.clone());
        assert_eq!(errors(order.to_string()), [format!("{pointer}: {expected}")], "{value}");
    }
}

/// "`total`: at most 2⁵³ − 1 (422 beyond)"
#[test]
fn a_total_that_a_client_could_not_read_exactly_is_rejected() {
    // 2⁵³ = 9 007 199 254 740 992.
    let item = |price: u64| json!({"sku": "s", "quantity": 9007, "unit_price": price});
    let order = |rest: u64| {
        with(
            minimal(),
            "/items",
            json!([item(1_000_000_000_000), {"sku": "s", "quantity": 1, "unit_price": rest}]),
        )
    };
    let response = Service::new().post(order(199_254_740_991).to_string());
    assert_eq!((response.status(), &response.json()["total"]), (201, &json!(9_007_199_254_740_991_u64)));
    assert_eq!(errors(order(199_254_740_992).to_string()), [format!("/items: {TOTAL}")]);
}

/// "decided from the digits, never by rounding"
#[test]
fn whole_numbers_are_decided_from_their_digits() {
    let order =
        |price: &str| minimal().to_string().replace("\"unit_price\":0", &format!("\"unit_price\":{price}"));
    for (text, price) in [
        ("999999999.000000000000", 999_999_999_u64),
        ("1e12", 1_000_000_000_000),
        ("0.000000000001e12", 1),
        ("10000000000000000000000e-22", 1),
        ("-0", 0),
        ("-0.0e5", 0),
    ] {
        let response = Service::new().post(order(text));
        assert_eq!(response.status(), 201, "{text}: {}", response.text());
        assert_eq!(response.json()["items"][0]["unit_price"], price, "{text}");
    }
    for text in ["1.0000000000000001", "2.0000000000000001", "999999999999.9999999999999999", "1e-400"] {
        let expected = "/items/0/unit_price: must be a whole number, not a number with a fraction";
        assert_eq!(errors(order(text)), [expected], "{text}");
    }
    assert_eq!(errors(order("1000000000000.0000000000000001")).len(), 1);
}

#[test]
fn a_wrong_type_is_rejected_with_the_expected_and_the_actual_type() {
    let values = [
        (json!(null), "null"),
        (json!(true), "a boolean"),
        (json!(7), "a number"),
        (json!(7.5), "a number with a fraction"),
        (json!("7"), "a string"),
        (json!([]), "an array"),
        (json!({}), "an object"),
    ];
    for (pointer, expected) in [
        ("/customer", "a string"),
        ("/currency", "a string"),
        ("/items", "an array"),
        ("/items/1", "an object"),
        ("/items/1/sku", "a string"),
        ("/items/1/name", "a string"),
        ("/items/1/quantity", "a whole number"),
        ("/items/1/unit_price", "a whole number"),
        ("/notes", "a string"),
        ("/metadata", "an object"),
        ("/metadata/z", "a string"),
    ] {
        for (value, actual) in &values {
            let is_optional = ["/items/1/name", "/notes", "/metadata"].contains(&pointer);
            if *actual == expected
                || (value.is_null() && is_optional)
                || (*actual == "a number" && expected == "a whole number")
            {
                continue;
            }
            let order = with(full(), pointer, value.clone());
            assert_eq!(errors(order.to_string()), [format!("{pointer}: must be {expected}, not {actual}")]);
        }
    }
    for (value, actual) in values.iter().filter(|(_, actual)| *actual != "an object") {
        assert_eq!(errors(value.to_string()), [format!(": must be an object, not {actual}")]);
    }
}

/// Clients that write every member of a class write null for an optional one that is not set.
#[test]
fn null_for_an_optional_member_means_that_it_is_absent() {
    let absent = minimal();
    let null = with(minimal(), "/items/0/name", json!(null));
    let null = with(with(null, "/notes", json!(null)), "/metadata", json!(null));
    let service = Service::new();
    let [mut absent, mut null] = [absent, null].map(|order| {
        let response = service.post(order.to_string());
        assert_eq!(response.status(), 201, "{}", response.text());
        response.json()
    });
    for order in [&mut absent, &mut null] {
        order.as_object_mut().unwrap().remove("id");
    }
    assert_eq!(null, absent);
}

#[test]
fn a_missing_required_member_is_rejected() {
    for pointer in
        ["/customer", "/currency", "/items", "/items/1/sku", "/items/1/quantity", "/items/1/unit_price"]
    {
        assert_eq!(errors(without(full(), pointer).to_string()), [format!("{pointer}: is required")]);
    }
    for pointer in ["/notes", "/metadata", "/items/0/name"] {
        assert_eq!(Service::new().post(without(full(), pointer).to_string()).status(), 201, "{pointer}");
    }
    assert_eq!(errors("{}"), ["/customer: is required", "/currency: is required", "/items: is required"]);
}

/// "Unknown members of a request body are an error (422, with a pointer)". Members that the service sets are unknown, too.
#[test]
fn an_unknown_member_is_rejected() {
    for name in
        ["id", "total", "status", "version", "created_at", "updated_at", "Customer", "custome", "customer "]
    {
        let order = with(full(), &format!("/{name}"), json!("x"));
        assert_eq!(errors(order.to_string()), [format!("/{name}: is not a member of a new order")]);
        let order = with(full(), &format!("/items/0/{name}"), json!([{"deep": null}]));
        assert_eq!(errors(order.to_string()), [format!("/items/0/{name}: is not a member of an item")]);
    }
}

#[test]
fn pointers_escape_tilde_and_slash() {
    let mut order = full();
    order["a/b~c"] = json!(1);
    order["metadata"]["~1"] = json!("v");
    assert_eq!(
        errors(order.to_string()),
        ["/a~1b~0c: is not a member of a new order", &format!("/metadata/~01: {METADATA_NAME}")]
    );
}

/// "naming every fault at once".
#[test]
fn every_error_is_listed_in_one_response() {
    let order = json!({
        "customer": " ",
        "items": [
            {"sku": "ok", "quantity": 1, "unit_price": 0},
            {"sku": "no good", "quantity": 2.5, "colour": "red"},
            "three",
        ],
        "metadata": {"": 1, "fine": "v"},
        "notes": false,
        "total": 5,
    });
    let response = Service::new().post(order.to_string());
    assert_eq!(response.problem(422, "invalid-body"), "The body has several errors.");
    assert_eq!(
        errors(order.to_string()),
        [
            format!("/customer: {CUSTOMER}"),
            "/items/1/colour: is not a member of an item".to_owned(),
            "/items/1/quantity: must be a whole number, not a number with a fraction".to_owned(),
            format!("/items/1/sku: {SKU}"),
            "/items/1/unit_price: is required".to_owned(),
            "/items/2: must be an object, not a string".to_owned(),
            "/metadata/: must be a string, not a number".to_owned(),
            format!("/metadata/: {METADATA_NAME}"),
            "/notes: must be a string, not a boolean".to_owned(),
            "/total: is not a member of a new order".to_owned(),
            "/currency: is required".to_owned(),
        ]
    );
    let one = Service::new().post(without(full(), "/customer").to_string());
    assert_eq!(one.problem(422, "invalid-body"), "The body has an error.");
}

#[test]
fn a_wrong_number_of_items_does_not_hide_other_errors() {
    let mut items = vec![minimal()["items"][0].clone(); 101];
    items[100] = json!({});
    assert_eq!(errors(with(minimal(), "/items", json!(items)).to_string()).len(), 4);
    let metadata = with(metadata(51), "/m50", json!(1));
    assert_eq!(errors(with(minimal(), "/metadata", metadata).to_string()).len(), 2);
}

/// A response lists at most 50 errors and states if there are more.
#[test]
fn the_list_of_errors_is_bounded() {
    for (count, listed, more) in [(50, 50, false), (51, 50, true)] {
        let mut order = minimal();
        for index in 0..count {
            order[format!("x{index}")] = json!(0);
        }
        let response = Service::new().post(order.to_string());
        assert_eq!(response.field_errors().len(), listed);
        let detail = response.problem(422, "invalid-body");
        assert_eq!(detail == "The body has more errors than are listed.", more, "{detail}");
    }
}

#[test]
fn a_long_member_name_is_truncated() {
    let names = ["n".repeat(64), "n".repeat(65), "😀".repeat(200_000)];
    for (name, pointer, detail) in [
        (&names[0], format!("/{}", names[0]), "is not a member of a new order".to_owned()),
        (
            &names[1],
            String::new(),
            format!("the member \"{}\"… of this object is not a member of a new order", names[0]),
        ),
        (
            &names[2],
            String::new(),
            format!("the member \"{}\"… of this object is not a member of a new order", "😀".repeat(64)),
        ),
    ] {
        let order = with(minimal(), &format!("/{name}"), json!(1));
        assert_eq!(Service::new().post(order.to_string()).field_errors(), [(pointer, detail)]);
    }
    let order = with(full(), &format!("/metadata/{}", names[1]), json!("v"));
    let detail = format!("the member \"{}\"… of this object {METADATA_NAME}", names[0]);
    assert_eq!(Service::new().post(order.to_string()).field_errors(), [("/metadata".to_owned(), detail)]);
}

#[test]
fn a_large_invalid_body_gets_a_small_response_in_linear_time() {
    let members: Vec<String> = (0..100_000).map(|index| format!("\"{index}\":0")).collect();
    let members = format!("{{{}}}", members.join(","));
    assert!(members.len() <= 1_048_576);
    for body in [
        members.clone(),
        format!(
            "{{\"metadata\":{}}}",
            members.get(..900_000).unwrap().rsplit_once(',').unwrap().0.to_owned() + "}"
        ),
        format!("{{\"items\":[{}0]}}", "0,".repeat(500_000)),
        format!("{{\"items\":[{}{{}}]}}", "{},".repeat(300_000)),
        format!("{{\"items\":[{}0]}}", "{\"\u{1f600}\":{}},".repeat(70_000)),
    ] {
        let started = Instant::now();
        let response = Service::new().post(&body);
        assert_eq!(response.field_errors().len(), 50);
        assert!(response.0.body.len() < 10_000, "{}", response.0.body.len());
        // Room for a busy machine: comparing each of 100 000 members with every other one would take far longer.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
