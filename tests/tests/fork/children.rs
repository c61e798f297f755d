//! Children that are really forked off.
#![allow(unsafe_code)] // fork and what belongs to it; nothing else is here

use std::{
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use wal_tests::PATIENCE;

/// A child at work, which ends with a line.
pub(crate) struct Child {
    id: libc::pid_t,
    says: PipeReader,
    go: PipeWriter,
}

/// What a child waits for.
pub(crate) struct Word(PipeReader);

impl Word {
    pub(crate) fn wait(&mut self) {
        self.0.read_exact(&mut [0]).expect("the parent lives");
    }
}

/// Forks; the child runs `run`, says what that returns, or how it panicked, and is gone without running anything else.
pub(crate) fn fork(run: impl FnOnce(&mut Word) -> String) -> Child {
    let (says, mut tell) = pipe().expect("a pipe");
    let (word, go) = pipe().expect("a pipe");
    // SAFETY: the child runs what is to be tested there, and leaves by `_exit`. The allocator of the system's libc may be
    // used in a child; nothing else that threads share is, except what the tests look at.
    let id = unsafe { libc::fork() };
    assert!(id >= 0, "no child");
    if id > 0 {
        return Child { id, says, go };
    }
    let said = catch_unwind(AssertUnwindSafe(|| run(&mut Word(word)))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        format!(
            "panic: {}",
            text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("?")
        )
    });
    let told = tell.write_all(format!("{}\n", said.replace('\n', " ")).as_bytes());
    leave(i32::from(told.is_err()))
}

/// Ends a child, without anything that its parent does when it ends.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

impl Child {
    /// What it waits for has happened.
    pub(crate) fn go_on(&mut self) {
        self.go.write_all(&[1]).expect("the child lives");
    }

    /// What it says; how it has died if it has. Panics if it hangs.
    pub(crate) fn says(mut self, what: &str) -> String {
        let status = wait(self.id).unwrap_or_else(|| panic!("{what}: the child hangs"));
        if libc::WIFSIGNALED(status) {
            return format!("killed by signal {}", libc::WTERMSIG(status));
        }
        let (mut line, mut byte) = (Vec::new(), [0]);
        // Other children may have the other end of the pipe as well.
        while self.says.read(&mut byte).expect("the pipe") == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("text")
    }
}

/// How a child has ended; kills one that hangs.
pub(crate) fn wait(id: libc::pid_t) -> Option<libc::c_int> {
    let (started, mut status) = (Instant::now(), 0);
    // SAFETY: `id` is a child of this process, which nobody else waits for.
    while unsafe { libc::waitpid(id, &raw mut status, libc::WNOHANG) } == 0 {
        if started.elapsed() > PATIENCE {
            // SAFETY: it was not waited for yet, so the number is its own.
            unsafe {
                libc::kill(id, libc::SIGKILL);
                libc::waitpid(id, &raw mut status, 0);
            }
            return None;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    Some(status)
}

/// Forks and goes on in both; the number of the child, in the parent.
pub(crate) fn fork_and_go_on() -> Option<libc::pid_t> {
    // SAFETY: as in `fork`; the caller lets the child come to its end.
    let id = unsafe { libc::fork() };
    assert!(id >= 0, "no child");
    (id > 0).then_some(id)
}
