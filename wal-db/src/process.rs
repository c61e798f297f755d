//! Telling a process from the children that are forked off it.
//!
//! The kernel gives a child zero instead of a [`Wiped`] number, whatever call forked it: `docs/design.md`, "Fork". A
//! child that shares the memory of its parent until it runs another program, as `vfork` and `posix_spawn` make them, is
//! not told apart, and changes nothing.

pub(crate) use page::Wiped;
pub(crate) use thread::end_thread_of_child;

/// The process in which it was made. Its children, and theirs, are others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u64);

impl Process {
    /// The one that this runs in.
    pub(crate) fn this() -> Process {
        Process(this())
    }

    /// What no other one in its line has; never zero.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    pub(crate) fn is_this(self) -> bool {
        self == Self::this()
    }
}

/// Nothing is forked under a checker of schedules, and nowhere but on Unix.
#[cfg(any(wal_loom, wal_shuttle, miri, not(unix)))]
fn this() -> u64 {
    1
}

#[cfg(all(unix, not(any(wal_loom, wal_shuttle, miri))))]
fn this() -> u64 {
    use std::sync::OnceLock;

    use crate::sync::{AtomicU64, Ordering};

    /// How many processes, from the first one that asked down to this one, have asked.
    static COUNT: AtomicU64 = AtomicU64::new(0);
    /// The number of this process, or zero as long as nobody has asked here.
    static NUMBER: OnceLock<Wiped> = OnceLock::new();

    let number = NUMBER.get_or_init(|| Wiped::new(0));
    if !number.is_wiped() {
        return std::process::id().into();
    }
    match number.load(Ordering::Relaxed) {
        0 => {
            // Of the threads that ask at the same time, one numbers the process.
            let new = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
            let numbered = number.compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
            numbered.map_or_else(|other| other, |_| new)
        }
        number => number,
    }
}

#[cfg(all(target_os = "linux", not(any(wal_loom, wal_shuttle, miri))))]
mod page {
    #![allow(unsafe_code)] // one number in a mapping of its own; the proofs are below

    use std::{ops::Deref, ptr::NonNull};

    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};

    use crate::sync::AtomicU64;

    /// A number that is zero in a forked child.
    #[derive(Debug)]
    pub(crate) struct Wiped {
        number: NonNull<AtomicU64>,
        /// Whether it is in a mapping of its own, which a child finds zero.
        is_wiped: bool,
    }

    /// No page is shorter. A mapping takes whole pages, and nothing else is in them.
    const LEN: usize = 4096;

    // SAFETY: the atomic belongs to this value alone, wherever it is.
    unsafe impl Send for Wiped {}
    // SAFETY: as above; all that is shared is an atomic.
    unsafe impl Sync for Wiped {}

    impl Wiped {
        pub(crate) fn new(number: u64) -> Wiped {
            let wiped = match map() {
                Some(number) => Wiped {
                    number,
                    is_wiped: true,
                },
                None => Wiped {
                    number: NonNull::from(Box::leak(Box::new(AtomicU64::new(0)))),
                    is_wiped: false,
                },
            };
            wiped.store(number, std::sync::atomic::Ordering::Relaxed);
            wiped
        }

        /// Whether a child finds zero: the kernel can do it since version 4.14.
        pub(crate) fn is_wiped(&self) -> bool {
            self.is_wiped
        }
    }

    fn map() -> Option<NonNull<AtomicU64>> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, of which the kernel chooses the place, aliases nothing.
        let page = unsafe { mmap_anonymous(std::ptr::null_mut(), LEN, access, MapFlags::PRIVATE) }.ok()?;
        // SAFETY: the page was just mapped, private and anonymous, and nothing is in it yet.
        match unsafe { madvise(page, LEN, Advice::LinuxWipeOnFork) } {
            // Zeros are an atomic that is zero, and a page is aligned for one.
            Ok(()) => NonNull::new(page.cast()),
            Err(_) => {
                // SAFETY: it was mapped above, and nobody has seen it.
                let _ = unsafe { munmap(page, LEN) };
                None
            }
        }
    }

    impl Deref for Wiped {
        type Target = AtomicU64;

        #[inline(always)]
        fn deref(&self) -> &AtomicU64 {
            // SAFETY: it points to the page that was mapped in `new`, which a forked child has as well, or to what was
            // leaked there; both stay as long as this value. Zeros are an atomic, too.
            unsafe { self.number.as_ref() }
        }
    }

    impl Drop for Wiped {
        fn drop(&mut self) {
            if self.is_wiped {
                // SAFETY: mapped in `new`, in this process or in the one that it was forked off, whose mappings are here
                // as well; and no reference outlives this value.
                let _ = unsafe { munmap(self.number.as_ptr().cast(), LEN) };
            } else {
                // SAFETY: leaked in `new`, and no reference outlives this value.
                drop(unsafe { Box::from_raw(self.number.as_ptr()) });
            }
        }
    }
}

#[cfg(all(target_os = "linux", not(any(wal_loom, wal_shuttle, miri))))]
mod thread {
    #![allow(unsafe_code)] // one call of the system

    /// Ends this thread, in a child that was forked off in it, and the child if that has no other thread. It is the system
    /// that ends it: on the usual way out the standard library takes a lock that a thread may hold which is not there, and
    /// the last thread does what its parent does when that exits.
    pub(crate) fn end_thread_of_child() {
        // SAFETY: the thread is one of the log's, so nobody waits for it in the child; nothing that lies on its stack or
        // belongs to it is lent to another thread there, as there was none when the child began.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

#[cfg(not(all(target_os = "linux", not(any(wal_loom, wal_shuttle, miri)))))]
mod thread {
    /// The thread returns then, which can take locks.
    pub(crate) fn end_thread_of_child() {}
}

#[cfg(not(all(target_os = "linux", not(any(wal_loom, wal_shuttle, miri)))))]
mod page {
    use std::ops::Deref;

    use crate::sync::AtomicU64;

    /// A number that stays what it is in a forked child.
    #[derive(Debug)]
    pub(crate) struct Wiped(AtomicU64);

    impl Wiped {
        pub(crate) fn new(number: u64) -> Wiped {
            Wiped(AtomicU64::new(number))
        }

        /// Whether a child finds zero, if there can be one.
        pub(crate) fn is_wiped(&self) -> bool {
            cfg!(any(wal_loom, wal_shuttle, miri, not(unix)))
        }
    }

    impl Deref for Wiped {
        type Target = AtomicU64;

        fn deref(&self) -> &AtomicU64 {
            &self.0
        }
    }
}
