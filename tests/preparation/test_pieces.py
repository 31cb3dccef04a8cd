import numpy as np
import pytest

from smoke_vq.preparation.pieces import load_piece, make_pieces, save_piece


def square(argument):
    """A piece, and a mark in a file for each time that one is made."""
    value, log = argument
    if value < 0:
        raise RuntimeError("negative")
    with open(log, "a") as handle:
        handle.write(f"{value}\n")
    return {"values": np.arange(value) ** 2, "name": f"piece {value}", "nothing": None}


def arguments_of(values, tmp_path):
    return {f"clip {value}": (value, str(tmp_path / "log")) for value in values}


def test_a_piece_comes_back_as_it_was(tmp_path):
    piece = {"image": np.arange(12, dtype=np.uint8).reshape(3, 4), "reason": None, "measures": {"shake": 0.5}}
    save_piece(tmp_path / "a.npz", piece)
    back = load_piece(tmp_path / "a.npz")
    assert np.array_equal(back.pop("image"), piece.pop("image")) and back == piece


def test_an_interrupted_run_makes_only_the_missing_pieces(tmp_path):
    arguments = arguments_of([1, 2, -1, 3], tmp_path)
    settings = {key: {"size": 64} for key in arguments}
    with pytest.raises(RuntimeError, match="negative"):
        make_pieces(square, arguments, settings, tmp_path / "work")
    del arguments["clip -1"]
    paths = make_pieces(square, arguments, settings, tmp_path / "work")
    assert (tmp_path / "log").read_text().split() == ["1", "2", "3"]
    assert [len(load_piece(paths[key])["values"]) for key in arguments] == [1, 2, 3]


def test_other_settings_make_pieces_again_and_left_overs_go(tmp_path):
    arguments = arguments_of([2], tmp_path)
    first = make_pieces(square, arguments, {"clip 2": {"size": 64}}, tmp_path / "work")
    (tmp_path / "work" / "half.npz.99.tmp").write_text("half")
    second = make_pieces(square, arguments, {"clip 2": {"size": 32}}, tmp_path / "work")
    assert first != second and len((tmp_path / "log").read_text().split()) == 2
    assert not list((tmp_path / "work").glob("*.tmp"))
