//! Settings of the allocator: a daemon that was busy once should not look so forever.

/// Keeps what threads have set aside small. To be called once, before there are threads.
///
/// One arena for all threads (ours allocate little, and seldom at the same time), and large buffers straight from the
/// kernel, so that they go back to it.
pub fn keep_memory_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: plain settings, made before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
        // Well above what is taken at once, or every burst would give and take the same pages all the time.
        libc::mallopt(libc::M_TOP_PAD, 64 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 512 << 10);
    }
}

/// Gives back what a burst of work needed and rest does not: unused memory, for which it walks the whole heap, and code.
pub fn give_memory_back() {
    super::release_startup_pages();
    #[cfg(target_env = "gnu")]
    // SAFETY: takes the allocator's own locks and passes no pointers.
    unsafe {
        libc::malloc_trim(0);
    }
}
