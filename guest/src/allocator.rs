//! The component's allocator: [talc](https://docs.rs/talc), on memory that is there from the start.
//!
//! Growing a memory is a system call of the host and stops its other threads for a moment; a fresh instance for each
//! request would do it each time. So build.rs has the linker make the memory large enough for an ordinary request,
//! and what lies behind the component's own data is the first heap. Only a request that needs more makes it grow. With a
//! host that keeps memory resident, a create takes a fifth to a third less processor time than with the allocator of std.

#![allow(unsafe_code, reason = "an allocator hands out raw memory")]

use core::alloc::Layout;
use core::arch::wasm32::{memory_grow, memory_size};

use talc::{
    base::{Talc, binning::Binning},
    cell::TalcSyncCell,
    source::Source,
    wasm::WasmBinning,
};

#[global_allocator]
static ALLOCATOR: TalcSyncCell<InitialMemory, WasmBinning> =
    TalcSyncCell::new_wasm(InitialMemory { claimed: false });

/// Bytes of a page of WebAssembly memory.
const PAGE: usize = 65_536;

/// First what the memory has behind the data of the component, then whole pages by growing it.
#[derive(Debug)]
struct InitialMemory {
    claimed: bool,
}

// SAFETY: `acquire` allocates nothing.
unsafe impl Source for InitialMemory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        unsafe extern "C" {
            /// Where the data of the component ends: a symbol of the linker, of which only the address counts.
            static __heap_base: u8;
        }
        if !std::mem::replace(&mut talc.source.claimed, true) {
            let base = &raw const __heap_base as usize;
            let size = (memory_size::<0>() * PAGE).saturating_sub(base);
            // SAFETY: nobody uses the bytes behind the data: this is the only allocator of the component.
            if unsafe { talc.claim(base as *mut u8, size) }.is_some() {
                return Ok(());
            }
        }
        let pages = layout.size().saturating_add(layout.align()).div_ceil(PAGE) + 1;
        let end = memory_grow::<0>(pages);
        if end == usize::MAX {
            return Err(());
        }
        // SAFETY: these pages have just been made.
        unsafe { talc.claim((end * PAGE) as *mut u8, pages * PAGE) }.map(|_| ()).ok_or(())
    }
}
