//! The storage that an adapter provides: named blobs, where only one writer can create the blob of a given name.

/// A storage for blobs. Names consist of ASCII letters, digits and full stops, and are at most 40 bytes long.
///
/// A read sees the effect of every call, by any writer, that ended before the read began. The guarantees of [`crate::log`]
/// depend on this. Errors are one line that says what failed.
pub trait Storage {
    /// Lists all names. A name that exists throughout the call is listed; a name that is created or deleted during the
    /// call may be, and so may one whose creation has begun and has not ended.
    ///
    /// # Errors
    /// The error of the underlying storage.
    fn list(&self) -> Result<Vec<String>, String>;

    /// Reads the whole blob with this name; none if it does not exist.
    ///
    /// # Errors
    /// The error of the underlying storage.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String>;

    /// Creates a blob under a free name. Returns `true` once the blob is durable, and `false` if the name exists or
    /// another writer is just creating it: at most one caller gets `true`. A writer that is killed during the call never
    /// leaves a partial blob.
    ///
    /// # Errors
    /// The error of the underlying storage. The blob may then exist, or may still appear later.
    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String>;

    /// Stores a blob under a name that only this caller uses. It is durable once this returns.
    ///
    /// # Errors
    /// The error of the underlying storage. The blob may then exist, or may still appear later.
    fn put(&self, name: &str, blob: &[u8]) -> Result<(), String> {
        if self.create(name, blob)? { Ok(()) } else { Err(format!("{name} exists")) }
    }

    /// Deletes the blob with this name if it exists.
    ///
    /// # Errors
    /// The error of the underlying storage.
    fn delete(&self, name: &str) -> Result<(), String>;

    /// A random number.
    fn random(&self) -> u64;

    /// Waits briefly so that another writer can make progress; longer with each failed attempt.
    fn back_off(&self, attempt: u32);

    /// Removes leftovers of killed writers that no live writer can still need. Called after each checkpoint.
    fn clean_up(&self) {}
}
