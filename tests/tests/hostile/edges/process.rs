//! What only the system's own calls can do to a process.
#![allow(unsafe_code)] // a few calls of libc; nothing else is here

use std::{io, mem::MaybeUninit, time::Duration};

/// Closes a descriptor, whatever it belongs to.
pub(crate) fn close(fd: i32) {
    // SAFETY: the test that calls this has a process of its own, and uses nothing that has the descriptor afterwards.
    unsafe { libc::close(fd) };
}

/// Writes to a descriptor, whatever it is.
pub(crate) fn write(fd: i32, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the bytes are there as long as the call takes.
    let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

extern "C" fn nothing(_: libc::c_int) {}

/// From now on a signal comes in every such time, to whatever thread, and interrupts what it is in.
pub(crate) fn interrupt_every(time: Duration) {
    // SAFETY: zeros are a handler without flags and without blocked signals, and the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = nothing as *const () as usize;
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()),
            0
        );
        let time = libc::timeval {
            tv_sec: 0,
            tv_usec: time.as_micros().try_into().unwrap(),
        };
        let timer = libc::itimerval {
            it_interval: time,
            it_value: time,
        };
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()),
            0
        );
    }
}

/// Makes a pipe with a name.
pub(crate) fn make_pipe(path: &std::path::Path) {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the path is there as long as the call takes.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}
