//! A storage in memory that outlives whoever writes to it, and what can be done to them.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use orders_adapter::{
    contract::{Check, Error, Order, Outcome, Scan, Store, Write},
    log::Log,
    storage::Storage,
};

/// What is on the disk.
pub(crate) type Blobs = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

/// When a writer is killed: at this one of its writes, before or after it took place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kill {
    pub(crate) at: u32,
    pub(crate) after: bool,
}

/// One writer's view of the disk.
pub(crate) struct Disk<'a> {
    blobs: Blobs,
    writes: Cell<u32>,
    kill: Option<Kill>,
    /// Called before each step: others may do something then.
    before: Option<&'a dyn Fn()>,
    /// Whether a name is taken first and filled later, as where there is no better way.
    two_steps: bool,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(blobs: &Blobs) -> Self {
        Self { blobs: Rc::clone(blobs), writes: Cell::new(0), kill: None, before: None, two_steps: false }
    }

    pub(crate) fn killed(blobs: &Blobs, kill: Kill) -> Self {
        Self { kill: Some(kill), ..Self::new(blobs) }
    }

    pub(crate) fn with_others(blobs: &Blobs, two_steps: bool, before: &'a dyn Fn()) -> Self {
        Self { before: Some(before), two_steps, ..Self::new(blobs) }
    }

    pub(crate) fn in_two_steps(blobs: &Blobs) -> Self {
        Self { two_steps: true, ..Self::new(blobs) }
    }

    pub(crate) fn in_two_steps_killed(blobs: &Blobs, kill: Kill) -> Self {
        Self { kill: Some(kill), ..Self::in_two_steps(blobs) }
    }

    fn step(&self) {
        if let Some(before) = self.before {
            before();
        }
    }

    /// A write, unless the writer has been killed.
    fn write<T>(&self, write: impl FnOnce() -> T) -> Result<T, String> {
        let killed = || Err("killed".to_owned());
        let number = self.writes.replace(self.writes.get() + 1);
        match self.kill {
            Some(kill) if number > kill.at => killed(),
            Some(kill) if number == kill.at => {
                if kill.after {
                    write();
                }
                killed()
            }
            _ => Ok(write()),
        }
    }

    fn alive(&self) -> Result<(), String> {
        match self.kill {
            Some(kill) if self.writes.get() > kill.at => Err("killed".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Storage for Disk<'_> {
    fn list(&self) -> Result<Vec<String>, String> {
        self.step();
        self.alive()?;
        let names = self.blobs.borrow().keys().filter(|name| !name.starts_with("taken.")).cloned().collect();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        self.step();
        self.alive()?;
        Ok(self.blobs.borrow().get(name).cloned())
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        self.step();
        let taken = if self.two_steps { format!("taken.{name}") } else { name.to_owned() };
        let free = self.write(|| {
            let mut blobs = self.blobs.borrow_mut();
            let free = !blobs.contains_key(&taken);
            if free {
                blobs.insert(taken, blob.to_vec());
            }
            free
        })?;
        if free && self.two_steps {
            self.step();
            self.write(|| self.blobs.borrow_mut().insert(name.to_owned(), blob.to_vec()))?;
        }
        Ok(free)
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        self.step();
        self.write(|| self.blobs.borrow_mut().remove(name))?;
        if self.two_steps {
            self.step();
            self.write(|| self.blobs.borrow_mut().remove(&format!("taken.{name}")))?;
        }
        Ok(())
    }

    fn pause(&self, _attempt: u32) {}
}

/// A store over the disk that writes a checkpoint every so many commits.
pub(crate) fn open(disk: Disk<'_>, every: u64) -> Log<Disk<'_>> {
    Log::with_checkpoint_every(disk, every)
}

/// Adds one to the number under `counter`, and notes under a key of its own that it did.
///
/// # Errors
/// Those of the store, after which it is not known whether it did.
pub(crate) fn count(store: &mut impl Store, who: &str) -> Result<(), Error> {
    loop {
        let found = store.get(&["counter".to_owned()])?.remove(0);
        let (number, check) = match found {
            None => (0, Check::Absent("counter".into())),
            Some(stored) => (
                u64::from_le_bytes(stored.value.try_into().unwrap()),
                Check::AtRevision("counter".into(), stored.revision),
            ),
        };
        let number = number + 1;
        let noted = format!("n/{number:05}");
        let writes = vec![
            Write::Put("counter".into(), number.to_le_bytes().to_vec()),
            Write::Put(noted.clone(), who.as_bytes().to_vec()),
        ];
        match store.commit(&[check, Check::Absent(noted)], writes)? {
            Outcome::Committed(_) => return Ok(()),
            Outcome::Conflict(0) => {}
            Outcome::Conflict(index) => panic!("{number} was noted before it was counted: check {index}"),
        }
    }
}

/// The number under `counter`; all numbers up to it must have been noted, and no other.
pub(crate) fn counted(store: &mut impl Store) -> u64 {
    let found = store.get(&["counter".to_owned()]).unwrap().remove(0);
    let number = found.map_or(0, |stored| u64::from_le_bytes(stored.value.try_into().unwrap()));
    let (mut start, mut noted) = ("n/".to_owned(), 0);
    loop {
        let scan = Scan { start: start.clone(), end: "n0".into(), limit: 1000, order: Order::Ascending };
        let entries = store.scan(&scan).unwrap();
        let Some(last) = entries.last() else { break };
        start = format!("{}\0", last.key);
        noted += u64::try_from(entries.len()).unwrap();
    }
    assert_eq!(noted, number, "each number is noted once");
    number
}
