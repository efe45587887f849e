//! An in-memory storage that outlives its writers, which tests can kill or interrupt.

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

/// The content of the disk.
pub(crate) type Blobs = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

/// When a writer is killed: at its write number `at` (the first is 0), before or after that write takes place.
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
    /// Called before each step, so that other writers can act in between.
    before_step: Option<&'a dyn Fn()>,
    /// Whether a create first claims the name and then writes the blob, as on storages without compare-and-swap.
    two_steps: bool,
}

impl<'a> Disk<'a> {
    pub(crate) fn new(blobs: &Blobs) -> Self {
        Self {
            blobs: Rc::clone(blobs),
            writes: Cell::new(0),
            kill: None,
            before_step: None,
            two_steps: false,
        }
    }

    pub(crate) fn killed(blobs: &Blobs, kill: Kill) -> Self {
        Self { kill: Some(kill), ..Self::new(blobs) }
    }

    pub(crate) fn interrupted(blobs: &Blobs, two_steps: bool, before_step: &'a dyn Fn()) -> Self {
        Self { before_step: Some(before_step), two_steps, ..Self::new(blobs) }
    }

    pub(crate) fn in_two_steps(blobs: &Blobs) -> Self {
        Self { two_steps: true, ..Self::new(blobs) }
    }

    pub(crate) fn in_two_steps_killed(blobs: &Blobs, kill: Kill) -> Self {
        Self { kill: Some(kill), ..Self::in_two_steps(blobs) }
    }

    fn begin_step(&self) {
        if let Some(before_step) = self.before_step {
            before_step();
        }
    }

    /// Performs a write unless the writer has been killed.
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

    fn check_alive(&self) -> Result<(), String> {
        match self.kill {
            Some(kill) if self.writes.get() > kill.at => Err("killed".to_owned()),
            _ => Ok(()),
        }
    }
}

impl Storage for Disk<'_> {
    fn list(&self) -> Result<Vec<String>, String> {
        self.begin_step();
        self.check_alive()?;
        let names = self.blobs.borrow().keys().filter(|name| !name.starts_with("taken.")).cloned().collect();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        self.begin_step();
        self.check_alive()?;
        Ok(self.blobs.borrow().get(name).cloned())
    }

    fn create(&self, name: &str, blob: &[u8]) -> Result<bool, String> {
        self.begin_step();
        let claim = if self.two_steps { format!("taken.{name}") } else { name.to_owned() };
        let free = self.write(|| {
            let mut blobs = self.blobs.borrow_mut();
            let free = !blobs.contains_key(&claim);
            if free {
                blobs.insert(claim, blob.to_vec());
            }
            free
        })?;
        if free && self.two_steps {
            self.begin_step();
            self.write(|| self.blobs.borrow_mut().insert(name.to_owned(), blob.to_vec()))?;
        }
        Ok(free)
    }

    fn delete(&self, name: &str) -> Result<(), String> {
        self.begin_step();
        self.write(|| self.blobs.borrow_mut().remove(name))?;
        if self.two_steps {
            self.begin_step();
            self.write(|| self.blobs.borrow_mut().remove(&format!("taken.{name}")))?;
        }
        Ok(())
    }

    fn random(&self) -> u64 {
        // Any numbers that differ.
        thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
        NEXT.with(|next| next.replace(next.get() + 1))
    }

    fn back_off(&self, _attempt: u32) {}
}

/// Opens a store over the disk that writes a checkpoint every `checkpoint_every` commits.
pub(crate) fn open(disk: Disk<'_>, checkpoint_every: u64) -> Log<Disk<'_>> {
    Log::with_checkpoint_every(disk, checkpoint_every)
}

/// Increments the number under `counter` and, in the same commit, creates a marker key for the new number.
///
/// # Errors
/// Any error of the store. The increment may then have taken place or not.
pub(crate) fn increment_counter(store: &mut impl Store, who: &str) -> Result<(), Error> {
    loop {
        let (number, check) = match store.get(&["counter".to_owned()])?.remove(0) {
            None => (0, Check::Absent("counter".into())),
            Some(stored) => (
                u64::from_le_bytes(stored.value.try_into().unwrap()),
                Check::AtRevision("counter".into(), stored.revision),
            ),
        };
        let number = number + 1;
        let marker = format!("n/{number:05}");
        let writes = vec![
            Write::Put("counter".into(), number.to_le_bytes().to_vec()),
            Write::Put(marker.clone(), who.as_bytes().to_vec()),
        ];
        match store.commit(&[check, Check::Absent(marker)], writes)? {
            Outcome::Committed(_) => return Ok(()),
            Outcome::Conflict(0) => {}
            Outcome::Conflict(index) => {
                panic!("the marker of {number} exists before the counter reaches it: check {index}")
            }
        }
    }
}

/// Reads the number under `counter` and checks that exactly the numbers up to it have markers.
pub(crate) fn read_counter(store: &mut impl Store) -> u64 {
    let stored = store.get(&["counter".to_owned()]).unwrap().remove(0);
    let number = stored.map_or(0, |stored| u64::from_le_bytes(stored.value.try_into().unwrap()));
    let (mut start, mut markers) = ("n/".to_owned(), 0);
    loop {
        let scan = Scan { start: start.clone(), end: "n0".into(), limit: 1000, order: Order::Ascending };
        let entries = store.scan(&scan).unwrap();
        let Some(last) = entries.last() else { break };
        start = format!("{}\0", last.key);
        markers += u64::try_from(entries.len()).unwrap();
    }
    assert_eq!(markers, number, "each number has exactly one marker");
    number
}
