//! What a request body must say to make an order. Strict: a member that is not known is a fault.

use std::collections::BTreeMap;

use super::{Currency, Item, Items, Metadata, MetadataName, MetadataValue, NewOrder};
use crate::json::Value;
use crate::json::decode::{Faults, Path, Slot, array, noted, number, object, required, text};

impl NewOrder {
    /// Reads a new order.
    ///
    /// # Errors
    /// Every fault of the document, up to a bound.
    pub(crate) fn from_json(document: Value<'_>) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        match new_order(document, &mut faults) {
            Some(order) if faults.is_empty() => Ok(order),
            _ => Err(faults),
        }
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
