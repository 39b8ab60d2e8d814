//! The fuzz targets' bodies, and an allocator that does not let them take what they do not need.

pub mod targets;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Far above what inputs of some kilobytes can ask for: without a sanitizer libFuzzer cannot watch single allocations.
const MOST: usize = 192 << 20;

/// The system's allocator, which ends the process where more than [`MOST`] bytes are in use at once.
struct Bounded;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) {
    if IN_USE.fetch_add(bytes, Relaxed) + bytes > MOST {
        std::process::abort(); // libFuzzer keeps the input; a panic would allocate
    }
}

unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        IN_USE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;
