//! What an adapter has to provide: blobs under names, of which a name is taken by one writer only.

/// A place for blobs. Names are of ASCII letters, digits and full stops, and at most 40 bytes long.
///
/// A call that reads sees every call that ended before it began, whoever made it: what [`crate::log`] promises rests on
/// that. Errors are one line that says what failed.
pub trait Storage {
    /// All names. One that was there all the time is listed; one that came or went meanwhile may be.
    ///
    /// # Errors
    /// What the storage says.
    fn list(&self) -> Result<Vec<String>, String>;

    /// What is under a name, whole, or none.
    ///
    /// # Errors
    /// What the storage says.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String>;

    /// Puts a blob under a name that is free: `true` once it is durable. `false` if the name is taken, or is just being
    /// taken: only one of all who ask gets `true`. Whoever is killed in it leaves nothing that is less than whole.
    ///
    /// # Errors
    /// What the storage says; it is then not known whether the blob is there, or will come to be.
    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String>;

    /// Removes what is under a name, if anything is.
    ///
    /// # Errors
    /// What the storage says.
    fn delete(&self, name: &str) -> Result<(), String>;

    /// Lets another writer go on: a moment, longer with each attempt that has failed.
    fn pause(&self, attempt: u32);

    /// Removes what killed writers have left half done, as far as it is nobody's any more. Asked after each checkpoint.
    fn tidy(&self) {}
}
