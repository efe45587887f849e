//! The component's allocator: [talc](https://docs.rs/talc), on memory that exists from the start.
//!
//! Growing a memory is a system call of the host that briefly stops its other threads, and a new instance for each request
//! would do so every time. Therefore build.rs makes the initial memory large enough for an ordinary request, and the memory
//! after the component's data is the first heap. Only a request that needs more grows the memory. On a host that keeps
//! memory resident, a create uses a fifth to a third less processor time than with the allocator of std.

#![allow(unsafe_code, reason = "an allocator manages raw memory")]

use core::alloc::Layout;
use core::arch::wasm32::{memory_grow, memory_size};
use core::ptr::NonNull;

use talc::{
    base::{Talc, binning::Binning},
    cell::TalcSyncCell,
    source::Source,
    wasm::WasmBinning,
};

#[global_allocator]
static ALLOCATOR: TalcSyncCell<InitialMemory, WasmBinning> =
    TalcSyncCell::new_wasm(InitialMemory { claimed: false, end: None });

/// The size of a page of WebAssembly memory, in bytes.
const PAGE: usize = 65_536;

/// Provides first the memory after the component's data, then whole pages by growing the memory. Pages that follow the heap
/// extend it, so that what one allocation leaves of them is used by the next.
#[derive(Debug)]
struct InitialMemory {
    claimed: bool,
    /// The end of the heap that was claimed or extended last.
    end: Option<NonNull<u8>>,
}

// SAFETY: `acquire` allocates nothing.
unsafe impl Source for InitialMemory {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        unsafe extern "C" {
            /// The end of the component's data: a linker symbol of which only the address is used.
            static __heap_base: u8;
        }
        if !std::mem::replace(&mut talc.source.claimed, true) {
            let base = &raw const __heap_base as usize;
            let size = (memory_size::<0>() * PAGE).saturating_sub(base);
            // SAFETY: this is the component's only allocator, so no other code uses the bytes after the data.
            talc.source.end = unsafe { talc.claim(base as *mut u8, size) };
            if talc.source.end.is_some() {
                return Ok(());
            }
        }
        let pages = layout.size().saturating_add(layout.align()).div_ceil(PAGE) + 1;
        let grown = memory_grow::<0>(pages);
        if grown == usize::MAX {
            return Err(());
        }
        let (base, size) = ((grown * PAGE) as *mut u8, pages * PAGE);
        let end = talc.source.end.filter(|end| end.as_ptr() == base);
        talc.source.end = match end {
            // SAFETY: these pages have just been added to the memory, and the heap of the allocator ends where they begin.
            Some(end) => Some(unsafe { talc.extend(end, base.wrapping_add(size)) }),
            // SAFETY: these pages have just been added to the memory.
            None => unsafe { talc.claim(base, size) },
        };
        talc.source.end.map(|_| ()).ok_or(())
    }
}
