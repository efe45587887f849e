//! What a request body must say to make an order or to change one. Strict: a member that is not known is a
//! fault.

use std::collections::BTreeMap;

use super::{
    Action, Currency, Item, Items, Metadata, MetadataName, MetadataPatch, MetadataValue, NewOrder, Patch,
    Transition,
};
use crate::json::Value;
use crate::json::decode::{Faults, Path, Slot, array, noted, number, object, required, text};

impl NewOrder {
    /// Reads a new order.
    ///
    /// # Errors
    /// Every fault of the document, up to a bound.
    pub(crate) fn from_json(document: Value<'_>) -> Result<Self, Faults> {
        faultless(|faults| new_order(document, faults))
    }
}

impl Patch {
    /// Reads a merge patch.
    ///
    /// # Errors
    /// Every fault of the document, up to a bound.
    pub(crate) fn from_json(document: Value<'_>) -> Result<Self, Faults> {
        faultless(|faults| patch(document, faults))
    }
}

impl Transition {
    /// Reads what a client says about an action, if anything.
    ///
    /// # Errors
    /// Every fault of the document, up to a bound.
    pub(crate) fn from_json(action: Action, document: Option<Value<'_>>) -> Result<Self, Faults> {
        match document {
            Some(document) => faultless(|faults| transition(action, document, faults)),
            None => Ok(Self { action, tracking: None, reason: None }),
        }
    }
}

/// What a decoder gives if it has noted no fault.
fn faultless<T>(decode: impl FnOnce(&mut Faults) -> Option<T>) -> Result<T, Faults> {
    let mut faults = Faults::default();
    match decode(&mut faults) {
        Some(decoded) if faults.is_empty() => Ok(decoded),
        _ => Err(faults),
    }
}

fn new_order(document: Value<'_>, faults: &mut Faults) -> Option<NewOrder> {
    let root = Path::Root;
    let (mut customer, mut currency, mut items) = (None, None, None);
    let (mut notes, mut metadata): (Slot<_>, Slot<_>) = (None, None);
    for (name, value) in object(document, &root, faults)? {
        let path = root.member(&name);
        match &*name {
            "customer" => customer = Some(text(value, &path, faults)),
            "currency" => currency = Some(currency_in_force(value, &path, faults)),
            "items" => items = Some(items_of(value, &path, faults)),
            "notes" => notes = Some(text(value, &path, faults)),
            "metadata" => metadata = Some(metadata_of(value, &path, faults)),
            _ => faults.add(&path, "is not a member of a new order"),
        }
    }
    let customer = required(customer, &root, "customer", faults);
    let currency = required(currency, &root, "currency", faults);
    let items = required(items, &root, "items", faults);
    Some(NewOrder {
        customer: customer?,
        currency: currency?,
        items: items?,
        notes: notes.flatten(),
        metadata: metadata.flatten(),
    })
}

fn currency_in_force(value: Value<'_>, path: &Path<'_>, faults: &mut Faults) -> Option<Currency> {
    /// A string that is looked up before it is kept.
    struct InForce(Currency);

    impl TryFrom<String> for InForce {
        type Error = &'static str;

        fn try_from(code: String) -> Result<Self, Self::Error> {
            Currency::in_force(&code)
                .map(Self)
                .ok_or("must be the ISO 4217 code of a currency in force, such as EUR")
        }
    }

    text(value, path, faults).map(|InForce(currency)| currency)
}

fn items_of(value: Value<'_>, path: &Path<'_>, faults: &mut Faults) -> Option<Items> {
    let elements = array(value, path, faults)?;
    if !Items::allows(elements.len()) {
        faults.add(path, format!("{}, not {}", Items::RULE, elements.len()));
    }
    let mut items = Vec::new();
    for (index, element) in elements.into_iter().enumerate() {
        items.extend(item(element, &path.element(index), faults));
    }
    // A count outside the rule has been noted above.
    Items::try_from(items).ok()
}

fn item(value: Value<'_>, path: &Path<'_>, faults: &mut Faults) -> Option<Item> {
    let (mut sku, mut item_name, mut quantity, mut unit_price) = (None, None, None, None);
    for (name, value) in object(value, path, faults)? {
        let path = path.member(&name);
        match &*name {
            "sku" => sku = Some(text(value, &path, faults)),
            "name" => item_name = text(value, &path, faults),
            "quantity" => quantity = Some(number(&value, &path, faults)),
            "unit_price" => unit_price = Some(number(&value, &path, faults)),
            _ => faults.add(&path, "is not a member of an item"),
        }
    }
    let sku = required(sku, path, "sku", faults);
    let quantity = required(quantity, path, "quantity", faults);
    let unit_price = required(unit_price, path, "unit_price", faults);
    Some(Item { sku: sku?, name: item_name, quantity: quantity?, unit_price: unit_price? })
}

fn patch(document: Value<'_>, faults: &mut Faults) -> Option<Patch> {
    let root = Path::Root;
    let mut patch = Patch { notes: None, metadata: None };
    for (name, value) in object(document, &root, faults)? {
        let path = root.member(&name);
        match (&*name, value) {
            ("notes", Value::Null) => patch.notes = Some(None),
            ("notes", value) => patch.notes = text(value, &path, faults).map(Some),
            ("metadata", Value::Null) => patch.metadata = Some(MetadataPatch::Remove),
            ("metadata", value) => patch.metadata = merge(value, &path, faults),
            (
                "id" | "status" | "version" | "customer" | "currency" | "items" | "total" | "created_at"
                | "updated_at",
                _,
            ) => faults.add(&path, "cannot be changed; only notes and metadata can"),
            _ => faults.add(&path, "is not a member of an order"),
        }
    }
    Some(patch)
}

fn merge(value: Value<'_>, path: &Path<'_>, faults: &mut Faults) -> Option<MetadataPatch> {
    let mut members = BTreeMap::new();
    for (name, value) in object(value, path, faults)? {
        let path = path.member(&name);
        let value = match value {
            Value::Null => Some(None),
            value => text(value, &path, faults).map(Some),
        };
        let name = noted(MetadataName::try_from(name.clone().into_owned()), &path, faults);
        members.extend(name.zip(value));
    }
    Some(MetadataPatch::Merge(members))
}

fn transition(action: Action, document: Value<'_>, faults: &mut Faults) -> Option<Transition> {
    let root = Path::Root;
    let mut transition = Transition { action, tracking: None, reason: None };
    for (name, value) in object(document, &root, faults)? {
        let path = root.member(&name);
        match (action, &*name) {
            (Action::Ship, "tracking") => transition.tracking = text(value, &path, faults),
            (Action::Cancel, "reason") => transition.reason = text(value, &path, faults),
            (_, "tracking") => faults.add(&path, "can be said only when an order is shipped"),
            (_, "reason") => faults.add(&path, "can be said only when an order is cancelled"),
            _ => faults.add(&path, "is not known here"),
        }
    }
    Some(transition)
}

fn metadata_of(value: Value<'_>, path: &Path<'_>, faults: &mut Faults) -> Option<Metadata> {
    let members = object(value, path, faults)?;
    if !Metadata::allows(members.len()) {
        faults.add(path, format!("{}, not {}", Metadata::RULE, members.len()));
    }
    let mut metadata = BTreeMap::new();
    for (name, value) in members {
        let path = path.member(&name);
        let value = text::<MetadataValue>(value, &path, faults);
        let name = noted(MetadataName::try_from(name.clone().into_owned()), &path, faults);
        metadata.extend(name.zip(value));
    }
    Metadata::try_from(metadata).ok()
}
