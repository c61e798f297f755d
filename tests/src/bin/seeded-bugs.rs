//! Mistakes put into the real code, one at a time, and the test that catches each:
//! `cargo run --release -p wal-tests --bin seeded-bugs`.
//!
//! `NAME ...` tries only those whose names contain one of these, `--list` says what each one is, `--threads T` (one for
//! each processor), `--json`. The exit code is 1 if one escapes, 2 if there is no answer. One whose test needs what this
//! machine does not have is not tried, and does not count. A copy of the project with all
//! mistakes in it is built below the target directory, in `seeded-bugs`. `--edit` only makes that copy, for somebody who
//! changes the mistakes there, and `--save` makes the patches anew from it.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use wal_tests::seeded::{self, Bug};

/// Longer than any test here takes, and than the watchdog of the tests.
const LIMIT: Duration = Duration::from_secs(90);

type Failed = String;

fn main() -> ExitCode {
    let answer = arguments(std::env::args().skip(1)).and_then(|options| match options.job {
        Job::List => list(&options.bugs),
        Job::Edit => edit(),
        Job::Save => seeded::tree::save(&tree()?).map(|()| true),
        Job::Try => run(&options),
    });
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

#[derive(Clone, Copy)]
enum Job {
    Try,
    List,
    Edit,
    Save,
}

struct Options {
    bugs: Vec<&'static Bug>,
    job: Job,
    json: bool,
    threads: usize,
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Options, Failed> {
    let mut options = Options {
        bugs: seeded::bugs().collect(),
        job: Job::Try,
        json: false,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut names = Vec::new();
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--list" => options.job = Job::List,
            "--edit" => options.job = Job::Edit,
            "--save" => options.job = Job::Save,
            "--json" => options.json = true,
            "--threads" => {
                let number = given.next().and_then(|text| text.parse().ok());
                options.threads = number.ok_or("--threads needs a number")?;
            }
            name if name.starts_with('-') => {
                return Err(format!(
                    "{name} is not an option\nusage: seeded-bugs [NAME ...] [--list|--edit|--save] [--threads T] [--json]"
                ));
            }
            _ => names.push(argument),
        }
    }
    if !names.is_empty() {
        let is_meant = |bug: &&Bug| names.iter().any(|name| bug.name.contains(name.as_str()));
        options.bugs.retain(is_meant);
    }
    match options.bugs.is_empty() {
        true => Err("no mistake has such a name".to_owned()),
        false => Ok(options),
    }
}

fn list(bugs: &[&Bug]) -> Result<bool, Failed> {
    for (number, mistake) in (1..).zip(seeded::MISTAKES) {
        println!("{number:>2}. {mistake}");
    }
    for bug in bugs {
        println!("\n{}, {}: {}", bug.name, stands_for(bug), bug.what);
        bug.caught_by.iter().for_each(|test| println!("    {test}"));
    }
    Ok(true)
}

fn edit() -> Result<bool, Failed> {
    let (tree, patched) = (tree()?, seeded::tree::patched()?);
    seeded::tree::write(&tree, &patched)?;
    patched.failed.iter().for_each(|failed| println!("{failed}"));
    println!("{}", tree.join("wal-db/src").display());
    Ok(patched.failed.is_empty())
}

fn stands_for(bug: &Bug) -> String {
    if bug.mistakes.is_empty() {
        return "classic".to_owned();
    }
    let numbers: Vec<String> = bug.mistakes.iter().map(u8::to_string).collect();
    numbers.join(", ")
}

fn run(options: &Options) -> Result<bool, Failed> {
    let wrong = seeded::wrong_with_the_registry();
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    let start = Instant::now();
    let tree = tree()?;
    seeded::tree::write(&tree, &seeded::tree::patched()?)?;
    let programs = build(&options.bugs, &tree)?;
    let built = start.elapsed().as_secs();
    eprintln!("built after {built} s; first without a mistake");
    without_a_mistake(&options.bugs, &programs)?;
    eprintln!("all of that passes, after {} s", start.elapsed().as_secs());

    let outcomes = try_each(options, &programs);
    let caught = count(&outcomes, |outcome| matches!(outcome, Outcome::CaughtBy(_)));
    let tried = count(&outcomes, |outcome| !matches!(outcome, Outcome::NotTried(_)));
    if options.json {
        print_json(&outcomes, caught, tried, start.elapsed());
    } else {
        println!("{:<36}{:<12}caught by", "mistake", "number");
        for (bug, outcome) in &outcomes {
            let outcome = match outcome {
                Outcome::CaughtBy(test) => test,
                Outcome::NotTried(why) => why,
                Outcome::Escaped => "NOTHING",
            };
            println!("{:<36}{:<12}{outcome}", bug.name, stands_for(bug));
        }
        println!("{caught} of {tried}, {} not tried", outcomes.len() - tried);
        eprintln!("after {} s", start.elapsed().as_secs());
    }
    Ok(caught == tried)
}

enum Outcome {
    /// The first of its tests that fails.
    CaughtBy(String),
    /// A test was skipped, and says why.
    NotTried(String),
    Escaped,
}

type Outcomes = Vec<(&'static Bug, Outcome)>;

fn count(outcomes: &Outcomes, is: fn(&Outcome) -> bool) -> usize {
    outcomes.iter().filter(|(_, outcome)| is(outcome)).count()
}

/// Tries the mistakes on several threads; what caught each, in the order of the list.
fn try_each(options: &Options, programs: &Programs) -> Outcomes {
    let todo = Mutex::new(options.bugs.iter().enumerate());
    let done = Mutex::new(BTreeMap::new());
    let next = || todo.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                while let Some((at, &bug)) = next() {
                    let outcome = try_it(bug, programs);
                    if let Ok(mut done) = done.lock() {
                        done.insert(at, (bug, outcome));
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default().into_values().collect()
}

fn try_it(bug: &Bug, programs: &Programs) -> Outcome {
    let (mut skipped, mut has_passed) = (None, false);
    for test in bug.caught_by {
        let (program, name) = seeded::split(test);
        match programs.run(program, &[name], Some(bug.name)) {
            Ended::Passed { skipped: None } => has_passed = true,
            Ended::Passed { skipped: why } => skipped = why,
            Ended::NotRun(why) => eprintln!("{test} was not run, so it catches nothing: {why}"),
            Ended::Failed(_) => return Outcome::CaughtBy((*test).to_owned()),
            Ended::TooLate => return Outcome::CaughtBy(format!("{test}, by hanging")),
        }
    }
    match skipped {
        Some(why) if !has_passed => Outcome::NotTried(why),
        _ => Outcome::Escaped,
    }
}

/// A test that fails by itself catches nothing.
fn without_a_mistake(bugs: &[&Bug], programs: &Programs) -> Result<(), Failed> {
    let mut tests: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (program, name) in bugs
        .iter()
        .flat_map(|bug| bug.caught_by)
        .map(|test| seeded::split(test))
    {
        let names = tests.entry(program).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for (program, names) in tests {
        match programs.run(program, &names, None) {
            Ended::Passed { .. } => {}
            Ended::NotRun(why) => return Err(why),
            Ended::Failed(output) => return Err(format!("{program} fails without a mistake:\n{output}")),
            Ended::TooLate => return Err(format!("{program} hangs without a mistake")),
        }
    }
    Ok(())
}

/// The test programs by their names.
struct Programs {
    programs: BTreeMap<String, PathBuf>,
    /// Where they are run.
    folder: PathBuf,
}

enum Ended {
    Passed {
        /// What one of them could not do here.
        skipped: Option<String>,
    },
    /// It could not be started, or had not the tests that it was asked for.
    NotRun(String),
    Failed(String),
    TooLate,
}

impl Programs {
    /// Runs some tests of a program with a mistake in it.
    fn run(&self, program: &str, tests: &[&str], mistake: Option<&str>) -> Ended {
        let Some(path) = self.programs.get(program) else {
            return Ended::NotRun(format!("{program} was not built"));
        };
        let mut command = Command::new(path);
        command.args(["--exact", "--test-threads=1"]).args(tests);
        command.current_dir(&self.folder);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.env_remove(seeded::VARIABLE);
        command.envs(mistake.map(|name| (seeded::VARIABLE, name)));
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Ended::NotRun(format!("{program}: {error}")),
        };
        let (sender, output) = std::sync::mpsc::channel();
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            // Both ends, or a long message of one blocks the other; what is read last ends with the process.
            let errors = std::thread::spawn(move || std::io::read_to_string(stderr));
            std::thread::spawn(move || {
                let text = std::io::read_to_string(stdout).unwrap_or_default();
                let errors = errors.join().ok().and_then(Result::ok).unwrap_or_default();
                sender.send(text + &errors).is_ok()
            });
        }
        let output = output.recv_timeout(LIMIT * tests.len() as u32);
        if output.is_err() {
            // It may have ended this very moment.
            let _ = child.kill();
        }
        match (output, child.wait()) {
            (Err(_), _) => Ended::TooLate,
            (Ok(text), Ok(status)) if status.success() => {
                // A filter that matches nothing passes.
                match text.contains(&format!("{} passed", tests.len())) {
                    true => Ended::Passed {
                        skipped: text
                            .lines()
                            .find(|line| line.starts_with("skipped: "))
                            .map(str::to_owned),
                    },
                    false => Ended::NotRun(format!("{program} has not all of {tests:?}")),
                }
            }
            (Ok(text), _) => Ended::Failed(text),
        }
    }
}

/// Builds the test programs that are needed, with all mistakes in them.
fn build(bugs: &[&Bug], tree: &Path) -> Result<Programs, Failed> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let folder = tree.join("tests");
    command.current_dir(&folder);
    command.args([
        "test",
        "-p",
        "wal-tests",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    let mut names: Vec<&str> = bugs
        .iter()
        .flat_map(|bug| bug.caught_by)
        .map(|test| seeded::split(test).0)
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        command.args(["--test", name]);
    }
    command.env("CARGO_TARGET_DIR", target_dir()?);
    // The log is optimised in this profile, too. To optimise the tests costs more than it saves.
    command
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_INCREMENTAL", "0");
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo: {error}"))?;
    if !output.status.success() {
        return Err("the tests could not be built".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let programs = messages.lines().filter_map(program).collect();
    Ok(Programs { programs, folder })
}

/// The test program that a message of cargo tells of.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let path = message["executable"].as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), path.into()))
}

/// Beside the build that this program is from.
fn target_dir() -> Result<PathBuf, Failed> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = this.parent().and_then(Path::parent);
    Ok(target.ok_or("where was this built?")?.join("seeded-bugs"))
}

/// The copy of the project.
fn tree() -> Result<PathBuf, Failed> {
    Ok(target_dir()?.join("tree"))
}

fn print_json(outcomes: &Outcomes, caught: usize, tried: usize, time: Duration) {
    let bugs: Vec<_> = outcomes
        .iter()
        .map(|(bug, outcome)| {
            let (test, why) = match outcome {
                Outcome::CaughtBy(test) => (Some(test), None),
                Outcome::NotTried(why) => (None, Some(why)),
                Outcome::Escaped => (None, None),
            };
            serde_json::json!({
                "name": bug.name, "mistakes": bug.mistakes, "what": bug.what, "caught_by": test, "not_tried": why,
            })
        })
        .collect();
    let all = serde_json::json!({
        "caught": caught, "of": tried, "seconds": time.as_secs(), "bugs": bugs,
    });
    println!("{all}");
}
