"""A metric outside the library: one file, and one line in the table, which is patched here."""

import json

from training_runs import data, finished_run, run  # noqa: F401

from smoke_vq.metrics import METRICS, Batch, Figure, Metric, figure_of


class Contrast(Metric):
    """Mean over frames of the contrast of the sample relative to that of the target."""

    figures = (Figure("contrast", "contrast", 1.0, ".2f", "times", "standard deviation relative to the target's"),)

    def update(self, batch: Batch) -> None:
        ratio = batch.sample.flatten(1).std(dim=1) / batch.target.flatten(1).std(dim=1)
        self.keep("contrast", ratio)
        self.add("contrast", ratio.sum())
        self.add("num_frames", ratio.new_tensor(len(ratio)))

    def compute(self) -> dict[str, float]:
        return {"contrast": float(self.sums["contrast"] / self.sums["num_frames"])}


def test_a_metric_from_outside_the_library_is_evaluated_and_printed(finished_run, data, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setitem(METRICS, "contrast", Contrast)
    flags = f"--model {finished_run / 'best'} --dataset {data} --metrics image contrast --per-sample"
    ended = run("evaluate.py", f"{flags} --output-dir {tmp_path}")
    assert ended.code == 0, ended.err
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["best"]["contrast"] > 0 and figures["black"]["contrast"] == 0
    row = next(line for line in ended.out.splitlines() if line.startswith("| contrast "))
    assert [cell.strip() for cell in row.split("|")[2:4]] == [f"{figures['best']['contrast']:.2f}", "0.00"]
    assert "contrast" in (tmp_path / "per_sample.csv").read_text().splitlines()[0].split(",")
    assert figure_of("contrast").phrase(0.5) == "contrast 0.50 times"
