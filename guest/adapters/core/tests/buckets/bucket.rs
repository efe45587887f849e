//! A bucket in memory that behaves like those of real hosts.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use orders_adapter::bucket::{Bucket, Count, Swap};

/// What a bucket does that the draft of `wasi:keyvalue` does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Nothing.
    Exact,
    /// Counters are decimal digits, and a swap reports a failure although it took place (Spin with Redis).
    SwapsReportFailure,
    /// Counters are decimal digits, and a swap reports success although the value had changed.
    SwapsReportSuccess,
    /// Each call with this number, and each one that many calls later, fails before it does anything.
    FailsBefore(u32),
    /// The same, but the call does what was asked for.
    FailsAfter(u32),
    /// A counter is read and then written, and other clients act in between (wasmCloud with a file system).
    CountsInTwoSteps,
}

impl Behaviour {
    const fn has_decimal_counters(self) -> bool {
        matches!(self, Self::SwapsReportFailure | Self::SwapsReportSuccess)
    }
}

/// The content of a bucket.
pub(crate) type Keys = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

/// One client's view of a bucket.
pub(crate) struct TestBucket<'a> {
    keys: Keys,
    behaviour: Behaviour,
    calls: Cell<u32>,
    random: Cell<u64>,
    /// The number of the call before which the client is killed.
    killed_at: Option<u32>,
    /// Called before each call, so that other clients can act in between.
    before_call: Option<&'a dyn Fn()>,
}

impl<'a> TestBucket<'a> {
    /// `seed` differs from client to client.
    pub(crate) fn new(keys: &Keys, behaviour: Behaviour, seed: u64) -> Self {
        let random = Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self {
            keys: Rc::clone(keys),
            behaviour,
            calls: Cell::new(0),
            random,
            killed_at: None,
            before_call: None,
        }
    }

    pub(crate) fn interrupted(self, before_call: &'a dyn Fn()) -> Self {
        Self { before_call: Some(before_call), ..self }
    }

    pub(crate) fn killed(self, at: u32) -> Self {
        Self { killed_at: Some(at), ..self }
    }

    /// Makes a call, unless it fails.
    fn call<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> Result<T, String> {
        if let Some(before_call) = self.before_call {
            before_call();
        }
        let number = self.calls.replace(self.calls.get() + 1);
        if self.killed_at.is_some_and(|at| number >= at) {
            return Err("killed".to_owned());
        }
        let every = |count: u32| (number + 1).is_multiple_of(count);
        match self.behaviour {
            Behaviour::FailsBefore(count) if every(count) => Err("failed before".to_owned()),
            Behaviour::FailsAfter(count) if every(count) => {
                act(&mut self.keys.borrow_mut());
                Err("failed after".to_owned())
            }
            _ => Ok(act(&mut self.keys.borrow_mut())),
        }
    }
}

impl TestBucket<'_> {
    /// Replaces a number by the next one, and returns that.
    fn count(&self, key: &str, next: impl FnOnce(Option<&Vec<u8>>) -> Vec<u8>) -> Result<Vec<u8>, String> {
        if self.behaviour == Behaviour::CountsInTwoSteps {
            let value = next(self.get(key)?.as_ref());
            self.set(key, &value)?;
            return Ok(value);
        }
        self.call(|keys| {
            let value = next(keys.get(key));
            keys.insert(key.to_owned(), value.clone());
            value
        })
    }
}

impl Bucket for TestBucket<'_> {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.call(|keys| keys.get(key).cloned())
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), String> {
        self.call(|keys| {
            keys.insert(key.to_owned(), value.to_vec());
        })
    }

    fn delete(&self, key: &str) -> Result<(), String> {
        self.call(|keys| {
            keys.remove(key);
        })
    }

    fn keys(&self) -> Result<Vec<String>, String> {
        self.call(|keys| keys.keys().cloned().collect())
    }

    /// SplitMix64.
    fn random(&self) -> u64 {
        self.random.set(self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mixed = self.random.get();
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn back_off(&self, _: u32) {}
}

impl Swap for TestBucket<'_> {
    fn begin_counter(&self, key: &str) -> Result<(), String> {
        let zero = if self.behaviour.has_decimal_counters() { b"0".to_vec() } else { vec![0; 8] };
        self.count(key, |number| number.cloned().unwrap_or(zero)).map(drop)
    }

    fn swap(&self, key: &str, from: &[u8], to: &[u8]) -> Result<(), String> {
        let swapped = self.call(|keys| {
            let value = keys.get_mut(key).filter(|value| *value == from);
            value.map(|value| *value = to.to_vec()).is_some()
        })?;
        match self.behaviour {
            Behaviour::SwapsReportFailure => Err("wrong number of arguments".to_owned()),
            Behaviour::SwapsReportSuccess => Ok(()),
            _ if swapped => Ok(()),
            _ => Err("the value has changed".to_owned()),
        }
    }
}

impl Count for TestBucket<'_> {
    fn increment(&self, key: &str) -> Result<u64, String> {
        let number = |value: &[u8]| u64::from_le_bytes(value.try_into().unwrap());
        let next =
            |value: Option<&Vec<u8>>| (value.map_or(0, |value| number(value)) + 1).to_le_bytes().to_vec();
        self.count(key, next).map(|value| number(&value))
    }
}
