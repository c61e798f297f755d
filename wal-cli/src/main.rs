//! `wal`: what an operator does with a log when its program is not there.
//!
//! Commands that read never write, lock or make anything, whatever state the log is in. Those that change something say what
//! they would do, and do it with `--write`; what they change is kept first, and `wal undo` puts it back.

mod change;
mod commands;
mod failure;
mod output;
mod quarantine;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    commands::{cat, info, ls, repair, salvage, undo, verify},
    output::{Output, plain},
};

/// Reads, checks, salvages and repairs logs of wal-db.
#[derive(Debug, Parser)]
#[command(name = "wal", version, after_help = EXITS)]
struct Args {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes: 0 fine, 2 usage, 3 damage, 4 not a log, 5 a newer format, 6 locked, 7 I/O, \
8 incomplete, 9 not done";

#[derive(Debug, Subcommand)]
enum Command {
    Info(info::Args),
    Ls(ls::Args),
    Cat(cat::Args),
    Verify(verify::Args),
    Salvage(salvage::Args),
    Repair(repair::Args),
    Undo(undo::Args),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut out = Output::new(args.json);
    let done = match args.command {
        Command::Info(args) => args.run(&mut out),
        Command::Ls(args) => args.run(&mut out),
        Command::Cat(args) => args.run(&mut out),
        Command::Verify(args) => args.run(&mut out),
        Command::Salvage(args) => args.run(&mut out),
        Command::Repair(args) => args.run(&mut out),
        Command::Undo(args) => args.run(&mut out),
    };
    let exit = done.unwrap_or_else(|failure| {
        let exit = failure.exit();
        if exit != failure::Exit::Fine {
            // Where nobody listens, the exit code is all there is.
            let _ = writeln!(io::stderr(), "wal: {}", plain(&failure.to_string()));
        }
        exit
    });
    ExitCode::from(exit as u8)
}
