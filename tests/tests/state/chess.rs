//! Games of chess in one log, move by move as if they were played at the same time. Where the pieces stand after each move
//! is known from a program that has nothing in common with this one: see `tests/data/README.md`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wal_db::{
    EventLog, Lsn, MemStore, Meta, Wal, WalRecord, WalSchema,
    event::StreamKey,
    state::{At, State, Store},
};

use super::snapshots::by_hand_as;

/// Which game it is about is the stream that it is in.
#[derive(Debug, Serialize, Deserialize, WalRecord)]
#[wal(name = "chess")]
enum Chess {
    Begun {
        white: String,
        black: String,
    },
    /// Squares count from a1 to h8, rank by rank.
    Moved {
        from: u8,
        to: u8,
        promotion: Option<char>,
    },
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize, WalRecord)]
#[wal(name = "boards")]
struct Boards {
    games: BTreeMap<u64, Board>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, WalSchema)]
struct Board {
    white: String,
    black: String,
    /// By square, as the letters of a FEN: white's are capitals.
    pieces: BTreeMap<u8, char>,
}

impl State for Boards {
    type Event = Chess;

    fn apply(&mut self, event: Chess, at: At<'_>) {
        let Some(StreamKey::Number(game)) = at.meta.stream() else {
            return;
        };
        match event {
            Chess::Begun { white, black } => {
                self.games.insert(game, Board::new(white, black));
            }
            Chess::Moved { from, to, promotion } => {
                if let Some(board) = self.games.get_mut(&game) {
                    board.make(from, to, promotion);
                }
            }
        }
    }
}

impl Board {
    fn new(white: String, black: String) -> Self {
        let mut pieces = BTreeMap::new();
        for (file, piece) in (0..).zip("rnbqkbnr".chars()) {
            pieces.insert(file, piece.to_ascii_uppercase());
            pieces.insert(8 + file, 'P');
            pieces.insert(48 + file, 'p');
            pieces.insert(56 + file, piece);
        }
        Board { white, black, pieces }
    }

    /// Whether the rules allow it was decided by those who played.
    fn make(&mut self, from: u8, to: u8, promotion: Option<char>) {
        let Some(piece) = self.pieces.remove(&from) else {
            return;
        };
        let becomes = match promotion {
            Some(promotion) if piece.is_uppercase() => promotion.to_ascii_uppercase(),
            Some(promotion) => promotion,
            None => piece,
        };
        let taken = self.pieces.insert(to, becomes);
        let (rank, file, to_file) = (from - from % 8, from % 8, to % 8);
        match piece.to_ascii_lowercase() {
            // En passant: the pawn that is taken stands beside where the other came from.
            'p' if file != to_file && taken.is_none() => {
                self.pieces.remove(&(rank + to_file));
            }
            // Castling: the rook goes to the other side of the king.
            'k' if file.abs_diff(to_file) == 2 => {
                let (corner, beside) = if to_file > file { (7, 5) } else { (0, 3) };
                if let Some(rook) = self.pieces.remove(&(rank + corner)) {
                    self.pieces.insert(rank + beside, rook);
                }
            }
            _ => {}
        }
    }

    /// The first field of a FEN.
    fn placement(&self) -> String {
        let rank = |rank: u8| {
            let mut text = String::new();
            let mut free = 0;
            for square in rank * 8..rank * 8 + 8 {
                match self.pieces.get(&square) {
                    None => free += 1,
                    Some(piece) => {
                        text.extend((free > 0).then(|| free.to_string()));
                        text.push(*piece);
                        free = 0;
                    }
                }
            }
            text.extend((free > 0).then(|| free.to_string()));
            text
        };
        (0..8).rev().map(rank).collect::<Vec<_>>().join("/")
    }
}

/// What another program knows of a game: every move, and where the pieces stand after it.
#[derive(Deserialize)]
struct Known {
    white: String,
    black: String,
    plies: Vec<(String, String)>,
}

impl Known {
    fn all() -> Vec<Known> {
        serde_json::from_str(include_str!("../../data/chess-games.json")).unwrap()
    }

    /// After so many moves.
    fn placement(&self, plies: usize) -> &str {
        match plies {
            0 => "rnbqkbnr/pppppppp/8/8/8/8/PPPPPPPP/RNBQKBNR",
            _ => &self.plies[plies - 1].1,
        }
    }

    fn pieces(&self, plies: usize) -> usize {
        let placement = self.placement(plies).chars();
        placement.filter(|c| c.is_alphabetic()).count()
    }

    /// The event after which so many moves were made.
    fn event(&self, plies: usize) -> Chess {
        if plies == 0 {
            let (white, black) = (self.white.clone(), self.black.clone());
            return Chess::Begun { white, black };
        }
        let uci = self.plies[plies - 1].0.as_bytes();
        let square = |at: usize| (uci[at] - b'a') + (uci[at + 1] - b'1') * 8;
        Chess::Moved {
            from: square(0),
            to: square(2),
            promotion: uci.get(4).map(|&letter| letter.into()),
        }
    }
}

/// An event of a game, as it is in the log.
struct Played {
    lsn: Lsn,
    game: u64,
    plies: usize,
    /// Where the pieces of all games are after it.
    placements: BTreeMap<u64, String>,
}

fn open(memory: &MemStore) -> EventLog<Chess> {
    let wal = Wal::with_store_and_config(memory.clone(), wal_tests::quiet_heap()).unwrap();
    wal.typed().unwrap()
}

fn store(log: &EventLog<Chess>) -> Store<Boards> {
    log.store(by_hand_as("boards")).unwrap()
}

/// Plays all games by turns, with a snapshot and a restart now and then. After each restart and at the end, `look` gets the
/// events since the one before.
fn play(known: &[Known], memory: &MemStore, look: impl Fn(&Store<Boards>, &[Played])) -> Vec<Played> {
    let longest = known.iter().map(|game| game.plies.len()).max().unwrap();
    let mut boards = store(&open(memory));
    let mut played: Vec<Played> = Vec::new();
    let mut placements = BTreeMap::new();
    for plies in 0..=longest {
        for (game, known) in (0..).zip(known).filter(|(_, game)| game.plies.len() >= plies) {
            let meta = Meta::new().with_stream(game);
            let lsn = boards.commit_with_meta(known.event(plies), meta).unwrap();
            placements.insert(game, known.placement(plies).to_owned());
            let placements = placements.clone();
            played.push(Played {
                lsn,
                game,
                plies,
                placements,
            });
            if played.len().is_multiple_of(150) {
                boards.snapshot().unwrap();
            }
            if played.len().is_multiple_of(200) {
                drop(boards);
                boards = store(&open(memory));
                assert_eq!(boards.recovery().events, played.len() as u64 % 150);
                look(&boards, &played[played.len() - 200..]);
            }
        }
    }
    look(&boards, &played[played.len() / 200 * 200..]);
    assert_eq!(boards.check().unwrap(), played.len() as u64);
    played
}

/// Folds each moment up to now again, most of them from a snapshot.
fn assert_past(boards: &Store<Boards>, played: &[Played]) {
    let now = boards.next_lsn().unwrap();
    let afterwards = played.iter().skip(1).map(|played| played.lsn).chain([now]);
    for (played, next) in played.iter().zip(afterwards) {
        let then = boards.as_of(next).unwrap();
        assert_stands(&then.state, played);
    }
}

fn assert_stands(boards: &Boards, then: &Played) {
    assert_eq!(boards.games.len(), then.placements.len());
    for (game, board) in &boards.games {
        let Played { game: by, plies, .. } = then;
        assert_eq!(
            board.placement(),
            then.placements[game],
            "game {game} after move {plies} of game {by}"
        );
    }
}

#[test]
fn pieces_stand_at_every_moment_where_another_program_has_them() {
    let (known, memory) = (Known::all(), MemStore::new());
    let played = play(&known, &memory, assert_past);
    assert_eq!(played.len(), 1_473);
    let log = open(&memory);
    // From the beginning of the log: so many at once take their time.
    for (n, pair) in played.windows(2).enumerate().step_by(5) {
        let then = log.as_of::<Boards>(pair[1].lsn).unwrap();
        assert_stands(&then.state, &pair[0]);
        assert_eq!(then.events, n as u64 + 1);
    }
}

#[test]
fn each_game_is_found_and_folded_alone() {
    let (known, memory) = (Known::all(), MemStore::new());
    let played = play(&known, &memory, |_, _| {});
    let index = open(&memory).indexed().unwrap();
    for (game, known) in (0..).zip(&known) {
        let mut boards = Boards::default();
        let mut lsns = Vec::new();
        for (plies, event) in index.stream(game).unwrap().enumerate() {
            let event = event.unwrap();
            boards.apply(event.event, At::replayed(event.lsn).with_meta(&event.meta));
            let placement = boards.games[&game].placement();
            assert_eq!(placement, known.placement(plies), "game {game}, move {plies}");
            lsns.push(event.lsn);
        }
        let own = played.iter().filter(|played| played.game == game);
        assert_eq!(lsns, own.map(|played| played.lsn).collect::<Vec<_>>());
        assert_eq!((lsns.len(), boards.games.len()), (1 + known.plies.len(), 1));
    }
}

/// A piece is gone from the other program's board then, and at no other move.
#[test]
fn changes_of_the_number_of_pieces_are_the_captures() {
    let (known, memory) = (Known::all(), MemStore::new());
    let played = play(&known, &memory, |_, _| {});
    let log = open(&memory);
    let pieces = |boards: &Boards| boards.games.values().map(|board| board.pieces.len()).collect();
    let mut captures = 0;
    let mut found = log.changes(.., pieces).unwrap();
    let mut expected: Vec<usize> = Vec::new();
    for Played { lsn, game, plies, .. } in played {
        let (known, game) = (&known[game as usize], game as usize);
        let before = expected.clone();
        match plies {
            0 => expected.push(32),
            _ => expected[game] = known.pieces(plies),
        }
        if expected == before {
            continue;
        }
        captures += usize::from(plies > 0);
        let change = found.next().unwrap().unwrap();
        assert_eq!(
            (change.lsn, &change.before, &change.after),
            (lsn, &before, &expected)
        );
        assert_eq!(change.meta.stream(), Some(StreamKey::Number(game as u64)));
    }
    assert!(found.next().is_none());
    assert_eq!(captures, 250);
}
