"""Every key from a file and from the command line, and one sentence for whatever is wrong."""

import dataclasses
import inspect
import typing
from pathlib import Path

import pytest
import yaml
from training_runs import ROOT

from smoke_vq import SmokeVQVAE
from smoke_vq.training import VQVAEArguments, check_arguments, parse_arguments

CONFIGS = sorted((ROOT / "configs").glob("config_vqvae*.yaml"))
FIELDS = {item.name: item for item in dataclasses.fields(VQVAEArguments)}
SCALARS = sorted(set(FIELDS) - {"model"})
HINTS = typing.get_type_hints(VQVAEArguments)


def other_value(name: str):
    """A value that is legal and not the default."""
    default, kinds = FIELDS[name].default, [HINTS[name], *typing.get_args(HINTS[name])]
    if list[str] in kinds:
        return ["elsewhere", "simulated:tiny"]
    if list[float] in kinds:
        return [0.25]  # as many as NEEDED has datasets
    choices = next((typing.get_args(kind) for kind in kinds if typing.get_origin(kind) is typing.Literal), None)
    if choices:
        return next(choice for choice in choices if choice != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, float) or float in kinds:
        return 0.25
    if isinstance(default, int) or int in kinds:
        return 7
    return "elsewhere"


@pytest.fixture
def parse(tmp_path):
    """Parse flags behind a YAML file of the given text."""

    def run(text: str | None = None, *flags: str) -> VQVAEArguments:
        file = tmp_path / "config.yaml"
        if text is not None:
            file.write_text(text)
        return parse_arguments(VQVAEArguments, ([] if text is None else ["--config", str(file)]) + list(flags))

    return run


def words(value) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value])]


NEEDED = {"dataset": ["data"], "frames_per_epoch": 5, "push_to_hub": True, "hub_model_id": "user/name"}


@pytest.mark.parametrize("name", SCALARS)
def test_every_key_works_from_the_file_and_from_both_spellings_of_its_flag(parse, name):
    value = other_value(name)
    from_file = parse(yaml.safe_dump(NEEDED | {name: value}))
    assert getattr(from_file, name) == value
    assert type(getattr(from_file, name)) is type(value)
    for flag in (f"--{name}", f"--{name.replace('_', '-')}"):
        first, *others = words(value)
        assert parse(yaml.safe_dump(NEEDED), flag, first, *others) == from_file
        assert parse(yaml.safe_dump(NEEDED), f"{flag}={first}", *others) == from_file


@pytest.mark.parametrize("name", SCALARS)
def test_the_flag_wins(parse, name):
    default = FIELDS[name].default
    first = NEEDED.get(name, default)
    text = yaml.safe_dump(NEEDED | ({} if first is None else {name: first}))
    assert getattr(parse(text, f"--{name}", *words(other_value(name))), name) == other_value(name)


def test_what_nobody_names_has_its_default(parse):
    arguments = parse("dataset: data\n")
    for name in set(SCALARS) - {"dataset"}:
        assert getattr(arguments, name) == FIELDS[name].default
    assert arguments.model == {} and arguments.run_folder == Path("runs/run")


def test_one_dataset_or_several(parse):
    assert parse("dataset: a\n").dataset == ["a"] == VQVAEArguments(dataset="a").dataset
    assert parse("dataset: [a, simulated:small]\ndataset_weights: [1, 2e-1]\n").dataset_weights == [1.0, 0.2]
    mix = parse("dataset: [a, b]\n", "--dataset", "c", "d", "e", "--dataset-weights", "1", "2", "3", "--epochs", "2")
    assert (mix.dataset, mix.dataset_weights, mix.epochs) == (["c", "d", "e"], [1, 2, 3], 2)


def test_yaml_numbers_that_yaml_reads_as_text(parse):
    assert parse("dataset: d\nlr: 1e-3\n").lr == 1e-3
    assert parse("dataset: d\n", "--lr", "1e-3").lr == 1e-3


def test_mixed_precision_no_though_yaml_reads_it_as_false(parse):
    assert parse("dataset: d\nmixed_precision: no\n").mixed_precision == "no"
    assert parse("dataset: d\nmixed_precision: no\n", "--mixed-precision", "bf16").mixed_precision == "bf16"


def test_null_leaves_an_optional_key_unset(parse):
    assert parse("dataset: d\nmax_steps: null\n").max_steps is None


def test_keys_of_the_model(parse):
    text = "dataset: d\nmodel:\n  latent_channels: 32\n  layers_per_block: 1\n"
    assert parse(text).model == {"latent_channels": 32, "layers_per_block": 1}
    for flags in (["--model.latent_channels", "64"], ["--model.latent-channels=64"]):
        assert parse(text, *flags).model == {"latent_channels": 64, "layers_per_block": 1}
    channels = parse(text, "--model.encoder_block_out_channels", "[8, 16]").model["encoder_block_out_channels"]
    assert channels == [8, 16]
    check_arguments(SmokeVQVAE, parse(text, "--model.latent_channels", "64").model, "model")


@pytest.mark.parametrize("flag", ["--packed", "--flip"])
def test_a_switch_needs_no_value(parse, flag):
    assert getattr(parse(f"dataset: d\n{flag[2:]}: false\n", flag), flag[2:]) is True


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        ("dataset: d\nbatchsize: 3\n", [], r"yaml has the unknown key 'batchsize' \(did you mean 'batch_size'\?\)"),
        ("dataset: d\nzzz: 3\n", [], "unknown key 'zzz'"),
        ("dataset: d\n", ["--bacth-size", "3"], r"Unknown flag '--bacth-size' \(did you mean 'batch_size'\?\)"),
        ("dataset: d\n", ["--batch", "3"], "Unknown flag '--batch'"),
        ("dataset: d\n", ["--modle.latent_channels", "3"], "Unknown flag '--modle.latent_channels'"),
        ("dataset: d\n", ["stray"], "Unknown flag 'stray'"),
        ("dataset: []\n", [], r"dataset expects a value or a list of values, found \[\]"),
        ("dataset: [a, [b]]\n", [], "dataset expects a value or a list of values"),
        ("dataset: [a, null]\n", [], "dataset expects a value or a list of values"),
        ("dataset: [a, --epochs, 3]\n", [], "dataset expects a value or a list of values"),
        ("dataset: {a: 1}\n", [], "dataset expects a value or a list of values"),
        ("dataset: [a, b]\ndataset_weights: [1, much]\n", [], "invalid float value: 'much'"),
        ("dataset: [a, b]\ndataset_weights: 1\n", [], r"one weight for each of \['a', 'b'\], found \[1.0\]"),
        ("dataset: [a, b]\ndataset_weights: [1, 2]\n", ["--dataset", "c"], r"one weight for each of \['c'\]"),
        ("dataset: [a, b]\ndataset_weights: [1, -2]\n", [], r"finite numbers above 0, found \[1.0, -2.0\]"),
        ("dataset: [a, b]\n", ["--dataset-weights", "1", "0"], "finite numbers above 0"),
        ("dataset: [a, b]\ndataset_weights: [1, .inf]\n", [], "finite numbers above 0"),
        ("dataset: [a, b]\ndataset_weights: [1, .nan]\n", [], "finite numbers above 0"),
        ("dataset: d\n", ["--validation-dataset"], "expected at least one argument"),
        ("dataset: d\nepochs: many\n", [], r"config\.yaml: Argument --epochs: invalid int value: 'many'"),
        ("dataset: d\nepochs: 2.5\n", [], "epochs: invalid int value: '2.5'"),
        ("dataset: d\nbatch_size: true\n", [], "invalid int value: 'True'"),
        ("dataset: d\npacked: perhaps\n", [], "perhaps"),
        ("dataset: d\nreport_to: paper\n", [], "report.to: invalid choice: 'paper'"),
        ("dataset: d\nlr_scheduler: cosin\n", [], "invalid choice: 'cosin'"),
        ("dataset: d\n", ["--epochs", "many"], "invalid int value: 'many'"),
        ("dataset: d\n", ["--lr", "fast"], "invalid float value: 'fast'"),
        ("dataset: d\n", ["--mixed-precision", "bf8"], "invalid choice: 'bf8'"),
        ("dataset: d\n", ["--epochs"], "expected one argument"),
        ("dataset: d\n", ["--model.latent_channels"], "expects a value"),
        ("dataset: d\nepochs: null\n", [], "epochs expects a value, found null"),
        ("dataset: d\nepochs: [1, 2]\n", [], r"epochs expects a single value, found \[1, 2\]"),
        ("dataset: d\nlr: {a: 1}\n", [], "lr expects a single value"),
        ("dataset: d\nmodel: 3\n", [], "model expects a mapping, found 3"),
        ("- dataset\n", [], "expects a mapping of keys to values, found list"),
        ("", [], "expects a mapping of keys to values, found NoneType"),
        ("dataset: [d\n", [], "is no valid YAML"),
        ("dataset: d\n", ["--lr", "-1"], r"lr expects a finite number of 0 or more, found -1\.0"),
        ("dataset: d\nlr: .inf\n", [], "lr expects a finite number of 0 or more, found inf"),
        ("dataset: d\nlr: .nan\n", [], "lr expects a finite number of 0 or more, found nan"),
        ("dataset: d\nseed: -1\n", [], "seed expects a finite number of 0 or more, found -1"),
        ("dataset: d\n", ["--batch-size", "0"], "batch_size expects 1 or more, found 0"),
        ("dataset: d\n", ["--max-steps", "0"], "max_steps expects 1 or more, found 0"),
        ("dataset: d\nema_decay: 1\n", [], r"ema_decay expects a number in \[0, 1\), found 1.0"),
        ("dataset: d\nstreaming: true\n", [], "streaming needs frames_per_epoch"),
        ("dataset: d\npush_to_hub: true\n", [], "push_to_hub and hub_model_id 'user/name' belong together"),
        ("dataset: d\n", ["--hub-model-id", "user/name"], "push_to_hub and hub_model_id 'user/name' belong together"),
        ("dataset: d\nrun_name: a/b\n", [], "run_name expects the name of one folder, found 'a/b'"),
        ("epochs: 3\n", [], "No data"),
        (None, [], "No data"),
        (None, ["--config"], "The flag --config expects a value"),
    ],
)
def test_one_sentence_for_each_mistake(parse, text, flags, said):
    with pytest.raises(ValueError, match=said) as caught:
        parse(text, *flags)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"There is no configuration file nowhere\.yaml"):
        parse_arguments(VQVAEArguments, ["--config", "nowhere.yaml"])


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as stop:
        parse_arguments(VQVAEArguments, ["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and all(f"--{name}" in shown for name in SCALARS)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"latent_chanels": 64}, r"Unknown key model.latent_chanels \(did you mean 'latent_channels'\?\)"),
        ({"latent_channels": "64"}, "model.latent_channels expects a value like 256, found '64'"),
        ({"latent_channels": 6.4}, "model.latent_channels expects a value like 256, found 6.4"),
        ({"latent_channels": True}, "found True"),
        ({"latent_channels": None}, "found None"),
        ({"latent_channels": 0}, "model.latent_channels expects 1 or more, found 0"),
        ({"layers_per_block": -1}, "model.layers_per_block expects 1 or more, found -1"),
        ({"mid_block_attention": 1}, "model.mid_block_attention expects a value like True, found 1"),
        ({"encoder_block_out_channels": 8}, "model.encoder_block_out_channels expects a value like"),
        ({"encoder_block_out_channels": [8, "16"]}, r"found \[8, '16'\]"),
        ({"quantizer_type": 3}, "model.quantizer_type expects a value like 'vq', found 3"),
    ],
)
def test_keys_and_types_of_the_model_are_checked(model, said):
    with pytest.raises(ValueError, match=said):
        check_arguments(SmokeVQVAE, model, "model")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_parse_and_build_their_model(path):
    arguments = parse_arguments(VQVAEArguments, ["--config", str(path), "--dataset", "data"])
    check_arguments(SmokeVQVAE, arguments.model, "model")
    assert path.read_text().startswith("#"), "a configuration opens with its command, hardware and expected result"


def test_the_full_config_shows_every_key_of_config_json():
    arguments = parse_arguments(VQVAEArguments, ["--config", str(ROOT / "configs/config_vqvae.yaml"), "--dataset", "d"])
    keys = {name for name in inspect.signature(SmokeVQVAE.__init__).parameters if name != "self"}
    assert set(arguments.model) == keys
