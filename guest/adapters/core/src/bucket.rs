//! What the storages in a bucket of keys need of the bucket, such as `wasi:keyvalue`. Errors are one line; after an error, a change may
//! have taken place or not.

/// The prefix of all keys, because other applications may use the bucket, too.
pub(crate) const PREFIX: &str = "orders-state.";
/// What follows it in the key that marks a name as won.
pub(crate) const WON: &str = "won.";

/// A bucket. A read sees the effect of every call, by any writer, that ended before it began.
pub trait Bucket {
    /// The value of a key.
    ///
    /// # Errors
    /// The error of the bucket.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String>;

    /// Stores a value.
    ///
    /// # Errors
    /// The error of the bucket.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), String>;

    /// Deletes a key if it exists.
    ///
    /// # Errors
    /// The error of the bucket.
    fn delete(&self, key: &str) -> Result<(), String>;

    /// All keys, in any order. A key that exists throughout the call is listed.
    ///
    /// # Errors
    /// The error of the bucket.
    fn keys(&self) -> Result<Vec<String>, String>;

    /// A random number.
    fn random(&self) -> u64;

    /// Waits briefly; longer with each failed attempt.
    fn back_off(&self, attempt: u32);
}

/// A bucket with counters.
pub trait Count: Bucket {
    /// Adds 1 to a counter, which is 0 if the key does not exist; returns the new number.
    ///
    /// # Errors
    /// The error of the bucket.
    fn increment(&self, key: &str) -> Result<u64, String>;
}

/// A bucket with a compare-and-swap.
pub trait Swap: Bucket {
    /// Makes a counter of 0 out of a key that does not exist. One that exists stays as it is.
    ///
    /// # Errors
    /// The error of the bucket.
    fn begin_counter(&self, key: &str) -> Result<(), String>;

    /// Replaces the value of a key if it is still `from`. The result does not say whether that took place.
    ///
    /// # Errors
    /// The error of the bucket.
    fn swap(&self, key: &str, from: &[u8], to: &[u8]) -> Result<(), String>;
}

/// How often a call is made that fails; the waits in between double, to about a tenth of a second.
const ATTEMPTS: u32 = 8;

/// A bucket whose calls are repeated if they fail: all but the increments, which count each time.
#[derive(Debug)]
pub struct Retrying<B>(pub B);

impl<B: Bucket> Retrying<B> {
    fn repeat<T>(&self, call: impl Fn(&B) -> Result<T, String>) -> Result<T, String> {
        let mut attempt = 0;
        loop {
            let result = call(&self.0);
            attempt += 1;
            if result.is_ok() || attempt == ATTEMPTS {
                return result;
            }
            self.0.back_off(1 << attempt);
        }
    }
}

impl<B: Bucket> Bucket for Retrying<B> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.repeat(|bucket| bucket.get(key))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.repeat(|bucket| bucket.set(key, value))
    }

    fn delete(&self, key: &str) -> Result<(), String> {
        self.repeat(|bucket| bucket.delete(key))
    }

    fn keys(&self) -> Result<Vec<String>, String> {
        self.repeat(B::keys)
    }

    fn random(&self) -> u64 {
        self.0.random()
    }

    fn back_off(&self, attempt: u32) {
        self.0.back_off(attempt);
    }
}

impl<B: Count> Count for Retrying<B> {
    fn increment(&self, key: &str) -> Result<u64, String> {
        self.0.increment(key)
    }
}

impl<B: Swap> Swap for Retrying<B> {
    fn begin_counter(&self, key: &str) -> Result<(), String> {
        self.repeat(|bucket| bucket.begin_counter(key))
    }

    /// Once: whoever swaps reads the value afterwards, and swaps again if it has not changed.
    fn swap(&self, key: &str, from: &[u8], to: &[u8]) -> Result<(), String> {
        self.0.swap(key, from, to)
    }
}

/// Why a commit is refused if more than one writer may have got a name.
pub(crate) fn not_exact(name: &str) -> String {
    format!(
        "more than one writer has got {name}: the counters of this bucket are not exact, so it cannot be used"
    )
}
