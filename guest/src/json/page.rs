//! Writes the JSON of a page.

/// The text before the first item.
const START: &[u8] = br#"{"items":["#;

/// More bytes than a page has beside its items: up to 99 commas, and the cursor.
const PUNCTUATION: usize = 256;

/// The JSON of a page. Items are copied one by one into the body of the response.
#[derive(Debug)]
pub(crate) struct PageWriter(Vec<u8>);

impl PageWriter {
    /// A page without items.
    pub(crate) fn new() -> Self {
        Self(START.to_vec())
    }

    /// Makes room for further items of this many bytes in all. A buffer that doubled as it grew would hold up to three times
    /// the page for a moment.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        self.0.reserve_exact(bytes + PUNCTUATION);
    }

    /// Adds an item, which is JSON, in two parts.
    pub(crate) fn add(&mut self, start: &[u8], rest: &[u8]) {
        if self.0.len() > START.len() {
            self.0.push(b',');
        }
        self.0.extend_from_slice(start);
        self.0.extend_from_slice(rest);
    }

    /// The page. Without a cursor, it is the last one.
    ///
    /// # Errors
    /// The cursor cannot be serialized, which is not expected for any text.
    pub(crate) fn finish(self, next_cursor: Option<&str>) -> serde_json::Result<Vec<u8>> {
        let Self(mut json) = self;
        json.push(b']');
        if let Some(cursor) = next_cursor {
            json.extend_from_slice(br#","next_cursor":"#);
            serde_json::to_writer(&mut json, cursor)?;
        }
        json.push(b'}');
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::PageWriter;

    fn page(items: &[&str], next_cursor: Option<&str>) -> String {
        let mut page = PageWriter::new();
        page.reserve(100);
        for item in items {
            page.add(b"", item.as_bytes());
        }
        String::from_utf8(page.finish(next_cursor).unwrap()).unwrap()
    }

    #[test]
    fn a_page_is_an_object_with_its_items_and_the_next_cursor() {
        assert_eq!(page(&[], None), r#"{"items":[]}"#);
        assert_eq!(page(&["1"], Some("b\"")), r#"{"items":[1],"next_cursor":"b\""}"#);
        assert_eq!(page(&["1", "{}", "3"], None), r#"{"items":[1,{},3]}"#);
    }
}
