//! Whether a change is made: only if the user asks for it, and says so twice at a terminal.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::{Failure, Result};

/// What a command that changes something takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// Do it; without this, only say what would be done
    #[arg(long)]
    write: bool,

    /// Do not ask
    #[arg(long, requires = "write")]
    yes: bool,
}

impl Change {
    /// Whether to do it. Asks at a terminal.
    pub(crate) fn is_wanted(&self, question: &str) -> Result<bool> {
        if !self.write || self.yes {
            return Ok(self.write);
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Refused(
                "nobody can be asked here: --yes answers; nothing was changed".to_owned(),
            ));
        }
        let mut answer = String::new();
        let asked = write!(io::stderr(), "{question} [y/N] ")
            .and_then(|()| io::stdin().lock().read_line(&mut answer));
        Ok(asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}
