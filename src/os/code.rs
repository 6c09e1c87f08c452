//! Our own program in memory.

/// Unmaps the program's code and constants, which stay in the file: what is needed again comes back on its own, page by
/// page. After the first steps of a process that runs for months, most of them have been used for the last time.
pub fn release_startup_pages() {
    #[cfg(target_os = "linux")]
    {
        unsafe extern "C" {
            static __executable_start: u8;
            static etext: u8;
        }
        const PAGE_BYTES: usize = 4096;
        let start = &raw const __executable_start;
        let bytes = (&raw const etext).addr().saturating_sub(start.addr()) / PAGE_BYTES * PAGE_BYTES;
        // SAFETY: between the two marks of the linker lie headers, constants and code, mapped from the file and never
        // written to; the program's variables come behind the second.
        let _best_effort = unsafe { libc::madvise(start.cast_mut().cast(), bytes, libc::MADV_DONTNEED) };
    }
}
