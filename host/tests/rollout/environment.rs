//! An environment whose work ends when and how a test decides.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use orders_host::{
    config::{StoreLocation, TermsConfig},
    module::{component::Module, hash::ModuleHash},
    rollout::{
        candidate::Candidate,
        comparison::Finding,
        events::{Comparison, Numbers, Origin},
        evidence::Evidence,
        owner::{Environment, PreparedOffer, Work},
        slot::LoadedModule,
        verdict::Verdict,
    },
    sandbox::{
        engine::{self, Compiler, Runtime},
        guest::InstanceBounds,
        instance::Reach,
    },
    store,
};
use tokio::sync::oneshot;

/// Work in progress, which the test ends.
pub(crate) enum Pending {
    Prepare(ModuleHash, oneshot::Sender<Result<Arc<LoadedModule>, String>>),
    Compare(oneshot::Sender<Finding>),
    Write(ModuleHash, oneshot::Sender<Result<(), String>>),
    Retry(oneshot::Sender<()>),
}

impl Pending {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Prepare(_, sender) => sender.is_closed(),
            Self::Compare(sender) => sender.is_closed(),
            Self::Write(_, sender) => sender.is_closed(),
            Self::Retry(sender) => sender.is_closed(),
        }
    }
}

/// The environment, and the disk. Clones share both.
#[derive(Clone, Default)]
pub(crate) struct TestEnvironment(Arc<Mutex<Shared>>);

#[derive(Default)]
struct Shared {
    pending: Option<Pending>,
    /// The module that a restart would serve.
    pointer: Option<ModuleHash>,
}

impl TestEnvironment {
    /// An environment in which a restart would serve this module.
    pub(crate) fn new(pointer: ModuleHash) -> Self {
        Self(Arc::new(Mutex::new(Shared { pending: None, pointer: Some(pointer) })))
    }

    /// The module that a restart would serve.
    pub(crate) fn pointer(&self) -> ModuleHash {
        self.0.lock().unwrap().pointer.unwrap()
    }

    /// The module that the pointer is being written to.
    pub(crate) fn written(&self) -> Option<ModuleHash> {
        match &self.0.lock().unwrap().pending {
            Some(Pending::Write(module, _)) => Some(*module),
            _ => None,
        }
    }

    /// Whether anything is in progress.
    pub(crate) fn is_busy(&self) -> bool {
        let mut shared = self.0.lock().unwrap();
        shared.pending.take_if(|pending| pending.is_abandoned());
        shared.pending.is_some()
    }

    /// Ends what is in progress. `choice` decides how: 0 is success.
    pub(crate) fn end_work(&self, choice: u8) {
        let pending = self.0.lock().unwrap().pending.take();
        match pending {
            Some(Pending::Prepare(module, sender)) => {
                let prepared =
                    if choice % 4 == 1 { Err("it is broken".to_owned()) } else { Ok(loaded(module)) };
                let _ = sender.send(prepared);
            }
            Some(Pending::Compare(sender)) => {
                let verdict = match choice % 3 {
                    0 => Verdict::Good,
                    1 => Verdict::Worse("it is worse".to_owned()),
                    _ => Verdict::Unproven("it had too few requests".to_owned()),
                };
                let numbers = Numbers::default();
                let comparison = Comparison { elapsed_ms: 1, module: numbers.clone(), other: numbers };
                let _ = sender.send(Finding { verdict, comparison, evidence: Evidence::default() });
            }
            Some(Pending::Write(module, sender)) => {
                assert!(!sender.is_closed(), "a write was abandoned: nobody knows how it ended");
                // A write that fails may have changed the pointer.
                if choice % 4 != 1 {
                    self.0.lock().unwrap().pointer = Some(module);
                }
                let _ = sender.send(if choice.is_multiple_of(2) {
                    Ok(())
                } else {
                    Err("the disk is full".to_owned())
                });
            }
            Some(Pending::Retry(sender)) => drop(sender.send(())),
            None => {}
        }
    }

    fn begin<T: Send + 'static>(&self, pending: impl FnOnce(oneshot::Sender<T>) -> Pending) -> Work<T> {
        let (sender, receiver) = oneshot::channel();
        let mut shared = self.0.lock().unwrap();
        if let Some(before) = shared.pending.replace(pending(sender)) {
            assert!(
                !matches!(before, Pending::Write(..)),
                "a write was abandoned: nobody knows how it ended"
            );
        }
        Box::pin(async { receiver.await.expect("the test ends all work") })
    }
}

impl Environment for TestEnvironment {
    fn prepare(&self, offer: PreparedOffer) -> Work<Result<Arc<LoadedModule>, String>> {
        self.begin(|sender| Pending::Prepare(offer.module, sender))
    }

    fn prepare_kept(&self, module: ModuleHash) -> Work<Result<Arc<LoadedModule>, String>> {
        self.begin(|sender| Pending::Prepare(module, sender))
    }

    fn trial(&self, _: Arc<LoadedModule>, _: TermsConfig) -> Work<Finding> {
        self.begin(Pending::Compare)
    }

    fn watch(&self, _: Option<(Evidence, Duration)>, _: TermsConfig) -> Work<Option<Finding>> {
        let finding = self.begin(Pending::Compare);
        Box::pin(async { Some(finding.await) })
    }

    fn write_pointer(&self, module: ModuleHash, _: Option<Origin>) -> Work<Result<(), String>> {
        self.begin(|sender| Pending::Write(module, sender))
    }

    fn retry_delay(&self, _: u32) -> Work<()> {
        self.begin(Pending::Retry)
    }
}

/// A module with this hash. All have the code of the same fixture, and are never called.
pub(crate) fn loaded(module: ModuleHash) -> Arc<LoadedModule> {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    let Fixture { linked, reach, bounds, .. } = FIXTURE.get_or_init(Fixture::load);
    LoadedModule::new(Candidate { module, linked: linked.clone() }, reach.clone(), bounds.clone())
}

struct Fixture {
    linked: wasmtime_wasi_http::p2::bindings::ProxyPre<orders_host::sandbox::instance::InstanceState>,
    reach: Reach,
    bounds: InstanceBounds,
    #[allow(dead_code, reason = "the engine's epoch ends with it")]
    runtime: Runtime,
}

impl Fixture {
    fn load() -> Self {
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_orders-host"));
        let target = program.parent().and_then(std::path::Path::parent).unwrap();
        let component = std::fs::read(target.join("components/fixtures/answers.wasm"))
            .expect("run the tests with `cargo xtask test`, which builds the components");
        let max_memory = 16 << 20;
        let runtime = engine::start(1, max_memory, Compiler::On, None).unwrap();
        let module = Module::compile(&runtime.engine, &component).unwrap();
        let linked = module.link(&runtime).unwrap();
        let store = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(store::open(&StoreLocation::Memory)).unwrap()
        });
        let reach = Reach { store: store.join().unwrap(), outbound: None };
        let bounds = InstanceBounds::of_start(max_memory);
        Self { linked, reach, bounds, runtime }
    }
}
