#!/usr/bin/env python3
"""Makes chess-games.json from games in PGN: every move, and where the pieces stand after it.

    chess_games.py PGN... > chess-games.json

needs python-chess (pip install chess==1.11.2), which plays the games. Games of variants and games without moves are left
out. No game of the files that were used has a capture en passant or a promotion, so two more are made of random moves
that the rules allow, among which such moves are preferred.
"""

import itertools
import json
import random
import sys

import chess
import chess.pgn

MADE = [("Random 1", "Random 2", 6), ("Random 3", "Random 4", 18)]
MOST_PLIES = 260


def read_games(path):
    with open(path, encoding="utf-8-sig") as file:
        while (game := chess.pgn.read_game(file)) is not None:
            # What follows a null move is analysis.
            moves = list(itertools.takewhile(bool, game.mainline_moves()))
            if game.errors:
                sys.exit(f"{path}: {game.errors}")
            if "Variant" not in game.headers and "FEN" not in game.headers and moves:
                yield game.headers["White"], game.headers["Black"], moves


def made_game(seed):
    board, dice = chess.Board(), random.Random(seed)
    while not board.is_game_over() and board.ply() < MOST_PLIES:
        moves = sorted(board.legal_moves, key=chess.Move.uci)
        rare = [move for move in moves if move.promotion or board.is_en_passant(move) or board.is_castling(move)]
        pawns = [move for move in moves if board.piece_type_at(move.from_square) == chess.PAWN]
        board.push(dice.choice(rare or (pawns if dice.random() < 0.5 else []) or moves))
    return list(board.move_stack)


def played(moves):
    board = chess.Board()
    for move in moves:
        if move not in board.legal_moves:
            sys.exit(f"{move} is not legal in {board.fen()}")
        board.push(move)
        yield [move.uci(), board.board_fen()]


def main():
    games = [game for path in sys.argv[1:] for game in read_games(path)]
    games += [(white, black, made_game(seed)) for white, black, seed in MADE]
    lines = []
    for white, black, moves in games:
        plies = ",\n".join(json.dumps(ply) for ply in played(moves))
        lines.append(f'{{"white": {json.dumps(white)}, "black": {json.dumps(black)}, "plies": [\n{plies}\n]}}')
    print("[" + ",\n".join(lines) + "]")


if __name__ == "__main__":
    main()
