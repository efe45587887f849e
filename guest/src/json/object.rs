//! Stored objects, whose members keep their text.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::text::{Members, Text};

/// A JSON object. Members that are not set or removed keep their text, whatever it is, and their sequence.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    members: Vec<(String, Box<RawValue>)>,
}

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    /// The text is not JSON, or not an object.
    pub(crate) fn read(text: &str) -> serde_json::Result<Self> {
        let Members(members) = serde_json::from_str(text)?;
        let owned = members.into_iter().map(|(name, value)| (name.into_owned(), value.to_owned()));
        Ok(Self { members: owned.collect() })
    }

    /// An object without members.
    pub(crate) const fn empty() -> Self {
        Self { members: Vec::new() }
    }

    /// The text of a member; that of the last one if several have the name, which is the one that other readers see.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.members.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.get())
    }

    /// The value of a member, if it is a string.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        serde_json::from_str(self.get(name)?).map(|Text(text)| text).ok()
    }

    /// The value of a member, if it is an object.
    pub(crate) fn object(&self, name: &str) -> Option<Self> {
        Self::read(self.get(name)?).ok()
    }

    /// The number of members.
    pub(crate) const fn len(&self) -> usize {
        self.members.len()
    }

    /// Sets a member to a string, in its place if there is one, otherwise after all others.
    ///
    /// # Errors
    /// The text cannot be serialized, which is not expected for any text.
    pub(crate) fn set_text(&mut self, name: &str, text: &str) -> serde_json::Result<()> {
        self.set(name, serde_json::to_string(text)?)
    }

    /// Sets a member to a value that is written as JSON.
    ///
    /// # Errors
    /// The value is not JSON.
    pub(crate) fn set(&mut self, name: &str, json: String) -> serde_json::Result<()> {
        let value = RawValue::from_string(json)?;
        match self.members.iter_mut().rfind(|(other, _)| other == name) {
            Some((_, present)) => *present = value,
            None => self.members.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// Removes every member with this name.
    pub(crate) fn remove(&mut self, name: &str) {
        self.members.retain(|(other, _)| other != name);
    }

    /// Writes the object after the text of members that come first, such as `"a":1,`.
    ///
    /// # Errors
    /// A name cannot be serialized, which is not expected for any name.
    pub(crate) fn write(&self, first: &str) -> serde_json::Result<String> {
        let size = self.members.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum::<usize>();
        let mut json = String::with_capacity(size + first.len() + 2);
        json.push('{');
        json.push_str(first);
        for (index, (name, value)) in self.members.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            json.push_str(&serde_json::to_string(name)?);
            json.push(':');
            json.push_str(value.get());
        }
        json.push('}');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::Object;
    use proptest::prelude::{prop_assert_eq, proptest};

    fn written(object: &Object) -> String {
        object.write("").unwrap()
    }

    #[test]
    fn members_keep_their_text_and_their_sequence() {
        let text =
            r#"{"z":12345678901234567890123,"a":1e400,"n":{"x":[1.0, 2]},"\u0061b":"\u00e9","d":1,"d":2}"#;
        let mut object = Object::read(text).unwrap();
        assert_eq!(written(&object), text.replace(r"\u0061b", "ab"));
        assert_eq!(object.get("d"), Some("2"), "the last one counts");
        object.set_text("d", "3").unwrap();
        object.set("new", r#"["x"]"#.to_owned()).unwrap();
        assert!(object.set("new", "x".to_owned()).is_err());
        object.remove("z");
        let expected = r#"{"a":1e400,"n":{"x":[1.0, 2]},"ab":"\u00e9","d":1,"d":"3","new":["x"]}"#;
        assert_eq!(written(&object), expected);
        assert_eq!((object.text("ab").as_deref(), object.text("a"), object.len()), (Some("é"), None, 6));
        assert_eq!(written(&object.object("n").unwrap()), r#"{"x":[1.0, 2]}"#);
        assert_eq!(
            object.object("n").unwrap().write("\"layout\":2,").unwrap(),
            r#"{"layout":2,"x":[1.0, 2]}"#
        );
        assert_eq!(written(&Object::empty()), "{}");
        for text in ["", "[]", "1", "{", "{}x", r#"{"a":}"#] {
            assert!(Object::read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_object_is_written_as_it_was_read(names in proptest::collection::vec(".{0,5}", 0..8), number in ".{0,10}") {
            let members: Vec<String> =
                names.iter().map(|name| format!("{}:{}", serde_json::to_string(name).unwrap(), serde_json::to_string(&number).unwrap())).collect();
            let text = format!("{{{}}}", members.join(","));
            prop_assert_eq!(written(&Object::read(&text).unwrap()), text);
        }
    }
}
