//! Request bodies that create or change an order. Decoding is strict: an unknown member is an error.

use std::collections::BTreeMap;

use super::currency::Currency;
use super::fields::{Item, Items, Metadata, MetadataName, MetadataValue};
use super::model::NewOrder;
use super::patch::{MetadataPatch, Patch};
use super::status::Action;
use super::transition::Transition;
use crate::json::decode::{
    Slot, decode_array, decode_number, decode_object, decode_text, record_error, require_member,
};
use crate::json::{FieldErrors, Path, Value};

/// The members of a request that are numbers.
pub(crate) const NUMBERS: &[&str] = &["quantity", "unit_price"];

impl NewOrder {
    /// Decodes a new order.
    ///
    /// # Errors
    /// Every error in the document, up to a maximum.
    pub(crate) fn from_json(document: Value<'_>) -> Result<Self, FieldErrors> {
        collect_errors(|errors| decode_new_order(document, errors))
    }
}

impl Patch {
    /// Decodes a merge patch.
    ///
    /// # Errors
    /// Every error in the document, up to a maximum.
    pub(crate) fn from_json(document: Value<'_>) -> Result<Self, FieldErrors> {
        collect_errors(|errors| decode_patch(document, errors))
    }
}

impl Transition {
    /// Decodes the optional body of an action.
    ///
    /// # Errors
    /// Every error in the document, up to a maximum.
    pub(crate) fn from_json(action: Action, document: Option<Value<'_>>) -> Result<Self, FieldErrors> {
        match document {
            Some(document) => collect_errors(|errors| decode_transition(action, document, errors)),
            None => Ok(Self { action, tracking: None, reason: None }),
        }
    }
}

/// Runs a decoder and returns its value, or the errors that it has recorded.
fn collect_errors<T>(decode: impl FnOnce(&mut FieldErrors) -> Option<T>) -> Result<T, FieldErrors> {
    let mut errors = FieldErrors::default();
    match decode(&mut errors) {
        Some(decoded) if errors.is_empty() => Ok(decoded),
        _ => Err(errors),
    }
}

fn decode_new_order(document: Value<'_>, errors: &mut FieldErrors) -> Option<NewOrder> {
    let root = Path::Root;
    let (mut customer, mut currency, mut items) = (None, None, None);
    let (mut notes, mut metadata): (Slot<_>, Slot<_>) = (None, None);
    #[cfg(feature = "next")]
    let mut priority: Slot<_> = None;
    for (name, value) in decode_object(document, &root, errors)? {
        let path = root.member(&name);
        match &*name {
            "customer" => customer = Some(decode_text(value, &path, errors)),
            "currency" => currency = Some(decode_currency(value, &path, errors)),
            "items" => items = Some(decode_items(value, &path, errors)),
            // Clients that write every member of a class write null for an optional one that is not set.
            "notes" | "metadata" if value == Value::Null => {}
            #[cfg(feature = "next")]
            "priority" => priority = Some(decode_text(value, &path, errors)),
            "notes" => notes = Some(decode_text(value, &path, errors)),
            "metadata" => metadata = Some(decode_metadata(value, &path, errors)),
            _ => errors.add(&path, "is not a member of a new order"),
        }
    }
    let customer = require_member(customer, &root, "customer", errors);
    let currency = require_member(currency, &root, "currency", errors);
    let items = require_member(items, &root, "items", errors);
    Some(NewOrder {
        customer: customer?,
        currency: currency?,
        items: items?,
        #[cfg(feature = "next")]
        priority: priority.flatten(),
        notes: notes.flatten(),
        metadata: metadata.flatten(),
    })
}

fn decode_currency(value: Value<'_>, path: &Path<'_>, errors: &mut FieldErrors) -> Option<Currency> {
    /// A code that is looked up in the table of currencies.
    struct InForce(Currency);

    impl TryFrom<String> for InForce {
        type Error = &'static str;

        fn try_from(code: String) -> Result<Self, Self::Error> {
            Currency::in_force(&code)
                .map(Self)
                .ok_or("must be the ISO 4217 code of a currency in force, such as EUR")
        }
    }

    decode_text(value, path, errors).map(|InForce(currency)| currency)
}

fn decode_items(value: Value<'_>, path: &Path<'_>, errors: &mut FieldErrors) -> Option<Items> {
    let (elements, count) = decode_array(value, path, errors)?;
    if !Items::allows(count) {
        errors.add_with(path, || format!("{}, not {count}", Items::RULE).into());
    }
    let mut items = Vec::new();
    for (index, element) in elements.into_iter().enumerate() {
        if errors.is_truncated() {
            return None;
        }
        items.extend(decode_item(element, &path.element(index), errors));
    }
    // An invalid count or item has been recorded above.
    if !Items::allows(count) || items.len() < count {
        return None;
    }
    record_error(Items::try_from(items), path, errors)
}

fn decode_item(value: Value<'_>, path: &Path<'_>, errors: &mut FieldErrors) -> Option<Item> {
    let (mut sku, mut item_name, mut quantity, mut unit_price) = (None, None, None, None);
    #[cfg(feature = "next")]
    let mut gift = None;
    for (name, value) in decode_object(value, path, errors)? {
        let path = path.member(&name);
        match &*name {
            "sku" => sku = Some(decode_text(value, &path, errors)),
            "name" if value == Value::Null => {}
            "name" => item_name = decode_text(value, &path, errors),
            #[cfg(feature = "next")]
            "gift" => gift = decode_text(value, &path, errors),
            "quantity" => quantity = Some(decode_number(&value, &path, errors)),
            "unit_price" => unit_price = Some(decode_number(&value, &path, errors)),
            _ => errors.add(&path, "is not a member of an item"),
        }
    }
    let sku = require_member(sku, path, "sku", errors);
    let quantity = require_member(quantity, path, "quantity", errors);
    let unit_price = require_member(unit_price, path, "unit_price", errors);
    Some(Item {
        sku: sku?,
        name: item_name,
        quantity: quantity?,
        unit_price: unit_price?,
        #[cfg(feature = "next")]
        gift,
    })
}

fn decode_patch(document: Value<'_>, errors: &mut FieldErrors) -> Option<Patch> {
    let root = Path::Root;
    let mut patch = Patch { notes: None, metadata: None };
    for (name, value) in decode_object(document, &root, errors)? {
        let path = root.member(&name);
        match (&*name, value) {
            ("notes", Value::Null) => patch.notes = Some(None),
            ("notes", value) => patch.notes = decode_text(value, &path, errors).map(Some),
            ("metadata", Value::Null) => patch.metadata = Some(MetadataPatch::Remove),
            ("metadata", value) => patch.metadata = decode_metadata_patch(value, &path, errors),
            (
                "id" | "status" | "version" | "customer" | "currency" | "items" | "total" | "tracking"
                | "reason" | "created_at" | "updated_at",
                _,
            ) => errors.add(&path, "cannot be changed; only notes and metadata can"),
            _ => errors.add(&path, "is not a member of an order"),
        }
    }
    Some(patch)
}

fn decode_metadata_patch(
    value: Value<'_>,
    path: &Path<'_>,
    errors: &mut FieldErrors,
) -> Option<MetadataPatch> {
    let mut members = BTreeMap::new();
    for (name, value) in decode_object(value, path, errors)? {
        if errors.is_truncated() {
            return None;
        }
        let path = path.member(&name);
        let value = match value {
            Value::Null => Some(None),
            value => decode_text(value, &path, errors).map(Some),
        };
        let name = record_error(MetadataName::try_from(name.clone().into_owned()), &path, errors);
        members.extend(name.zip(value));
    }
    Some(MetadataPatch::Merge(members))
}

fn decode_transition(action: Action, document: Value<'_>, errors: &mut FieldErrors) -> Option<Transition> {
    let root = Path::Root;
    let mut transition = Transition { action, tracking: None, reason: None };
    for (name, value) in decode_object(document, &root, errors)? {
        let path = root.member(&name);
        match (action, &*name) {
            (Action::Ship, "tracking") => transition.tracking = decode_text(value, &path, errors),
            (Action::Cancel, "reason") => transition.reason = decode_text(value, &path, errors),
            (_, "tracking") => errors.add(&path, "is allowed only when an order is shipped"),
            (_, "reason") => errors.add(&path, "is allowed only when an order is cancelled"),
            _ => errors.add(&path, "is not a member of this request"),
        }
    }
    Some(transition)
}

fn decode_metadata(value: Value<'_>, path: &Path<'_>, errors: &mut FieldErrors) -> Option<Metadata> {
    let members = decode_object(value, path, errors)?;
    if !Metadata::allows(members.len()) {
        errors.add_with(path, || format!("{}, not {}", Metadata::RULE, members.len()).into());
    }
    let mut metadata = BTreeMap::new();
    for (name, value) in members {
        if errors.is_truncated() {
            return None;
        }
        let path = path.member(&name);
        let value = decode_text::<MetadataValue>(value, &path, errors);
        let name = record_error(MetadataName::try_from(name.clone().into_owned()), &path, errors);
        metadata.extend(name.zip(value));
    }
    Metadata::try_from(metadata).ok()
}
