//! Mistakes that can be put in on purpose, to see that a test catches each: the command `seeded-bugs` of the tests does
//! that, and `tests/seeded` says what each one is.
//!
//! In a build without `--cfg wal_seeded_bugs` there is none of them: the macro is the constant `false`. With it, a
//! process has the one that the variable `WAL_SEEDED_BUG` names.

#[cfg(not(wal_seeded_bugs))]
macro_rules! seeded_bug {
    ($name:literal) => {
        false
    };
}

#[cfg(wal_seeded_bugs)]
macro_rules! seeded_bug {
    ($name:literal) => {
        $crate::seeded::is_in($name)
    };
}

/// Whether this process has the mistake.
#[cfg(wal_seeded_bugs)]
pub(crate) fn is_in(name: &str) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("WAL_SEEDED_BUG").ok());
    CHOSEN.as_deref() == Some(name)
}
