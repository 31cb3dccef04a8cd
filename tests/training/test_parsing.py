"""All keys from a file and from the command line, and one sentence for each mistake."""

import inspect
import json
import typing
from pathlib import Path

import pytest
import torch
import yaml
from training_runs import ROOT

from smoke_vq import SmokeVQGAN, SmokeVQVAE
from smoke_vq.training import TrainingArguments, VQGANArguments, VQVAEArguments, check_arguments, parse_arguments
from smoke_vq.training.arguments import groups_of, options_of
from smoke_vq.training.renamed import RENAMED
from smoke_vq.training.run_folder import check_same_run

CONFIGS = sorted((ROOT / "configs").glob("config_vqvae*.yaml"))
FIELDS = options_of(VQVAEArguments)
SCALARS = sorted(set(FIELDS) - {"model", "quantizer_loss_weights"})
HINTS = {
    name: hint for group in groups_of(VQVAEArguments).values() for name, hint in typing.get_type_hints(group).items()
}


def other_value(name: str):
    """A valid value other than the default."""
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
    if name == "crop_size":
        return 24  # a multiple of 8
    if isinstance(default, int) or int in kinds:
        return 7
    return "elsewhere"


@pytest.fixture
def parse(tmp_path):
    """Parse flags after a YAML file with this text."""

    def run(text: str | None = None, *flags: str) -> TrainingArguments[VQVAEArguments]:
        file = tmp_path / "config.yaml"
        if text is not None:
            file.write_text(text)
        return parse_arguments(VQVAEArguments, ([] if text is None else ["--config", str(file)]) + list(flags))

    return run


def get(arguments: TrainingArguments, name: str):
    return arguments.to_dict()[name]


def words(value) -> list[str]:
    return [str(one) for one in (value if isinstance(value, list) else [value])]


NEEDED = {"dataset": ["data"], "push_to_hub": True, "hub_model_id": "user/name"}


@pytest.mark.parametrize("name", SCALARS)
def test_every_key_works_from_the_file_and_from_both_spellings_of_its_flag(parse, name):
    value = other_value(name)
    from_file = parse(yaml.safe_dump(NEEDED | {name: value}))
    assert get(from_file, name) == value
    assert type(get(from_file, name)) is type(value)
    for flag in (f"--{name}", f"--{name.replace('_', '-')}"):
        first, *others = words(value)
        assert parse(yaml.safe_dump(NEEDED), flag, first, *others) == from_file
        assert parse(yaml.safe_dump(NEEDED), f"{flag}={first}", *others) == from_file


@pytest.mark.parametrize("name", SCALARS)
def test_the_flag_takes_precedence(parse, name):
    default = FIELDS[name].default
    first = NEEDED.get(name, default)
    text = yaml.safe_dump(NEEDED | ({} if first is None else {name: first}))
    assert get(parse(text, f"--{name}", *words(other_value(name))), name) == other_value(name)


def test_other_keys_have_their_defaults(parse):
    arguments = parse("dataset: data\n")
    for name in set(SCALARS) - {"dataset"}:
        assert get(arguments, name) == FIELDS[name].default
    assert arguments.recipe.model == {} and arguments.run.folder == Path("runs/run")


def test_one_dataset_or_several(parse):
    assert (
        parse("dataset: a\n").data.dataset == ["a"] == TrainingArguments.build(VQVAEArguments, dataset="a").data.dataset
    )
    assert parse("dataset: [a, simulated:small]\ndataset_weights: [1, 2e-1]\n").data.dataset_weights == [1.0, 0.2]
    mix = parse("dataset: [a, b]\n", "--dataset", "c", "d", "e", "--dataset-weights", "1", "2", "3", "--epochs", "2")
    assert (mix.data.dataset, mix.data.dataset_weights, mix.optimization.epochs) == (["c", "d", "e"], [1, 2, 3], 2)


def test_yaml_numbers_that_yaml_reads_as_text(parse):
    assert parse("dataset: d\nlr: 1e-3\n").optimization.lr == 1e-3
    assert parse("dataset: d\n", "--lr", "1e-3").optimization.lr == 1e-3
    for text, flags in (
        ("dataset: d\ncommitment_weight: 1e-3\n", []),
        ("dataset: d\nquantizer_loss_weights: {commitment: 1e-3}\n", []),
        ("dataset: d\n", ["--commitment-weight", "1e-3"]),
        ("dataset: d\n", ["--quantizer-loss-weights", "{commitment: 1e-3}"]),
    ):
        assert parse(text, *flags).recipe.quantizer_loss_weights == {"commitment": 1e-3}
    kwargs = parse("dataset: d\n", "--model.quantizer_kwargs", "{a: [1e3, 1, e5]}").recipe.model["quantizer_kwargs"]
    assert kwargs == {"a": [1e3, 1, "e5"]}


def test_mixed_precision_no_which_yaml_reads_as_false(parse):
    assert parse("dataset: d\nmixed_precision: no\n").optimization.mixed_precision == "no"
    assert (
        parse("dataset: d\nmixed_precision: no\n", "--mixed-precision", "bf16").optimization.mixed_precision == "bf16"
    )


def test_null_leaves_an_optional_key_unset(parse):
    assert parse("dataset: d\nmax_steps: null\n").optimization.max_steps is None


def test_keys_of_the_model(parse):
    text = "dataset: d\nmodel:\n  latent_channels: 32\n  layers_per_block: 1\n"
    assert parse(text).recipe.model == {"latent_channels": 32, "layers_per_block": 1}
    for flags in (["--model.latent_channels", "64"], ["--model.latent-channels=64"]):
        assert parse(text, *flags).recipe.model == {"latent_channels": 64, "layers_per_block": 1}
    channels = parse(text, "--model.encoder_block_out_channels", "[8, 16]").recipe.model["encoder_block_out_channels"]
    assert channels == [8, 16]
    check_arguments(SmokeVQVAE, parse(text, "--model.latent_channels", "64").recipe.model, "model")


@pytest.mark.parametrize("flag", ["--packed", "--flip"])
def test_a_switch_needs_no_value(parse, flag):
    assert get(parse(f"dataset: d\n{flag[2:]}: false\n", flag), flag[2:]) is True


@pytest.mark.parametrize(
    ("text", "flags", "message"),
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
        ("dataset: d\n", ["--model.latent_channels", "[8"], "--model.latent_channels expects a YAML value, found '"),
        ("dataset: d\n", ["--model", "8"], "--model expects a mapping, found 8"),
        ("dataset: d\nepochs: null\n", [], "epochs expects a value, found null"),
        ("dataset: d\nepochs: [1, 2]\n", [], r"epochs expects a single value, found \[1, 2\]"),
        ("dataset: d\nlr: {a: 1}\n", [], "lr expects a single value"),
        ("dataset: d\nmodel: 3\n", [], "model expects a mapping, found 3"),
        ("dataset: d\n1: 2\n", [], "yaml has the unknown key '1'"),
        ("log_every: 2\nlogging_steps: 3\n", [], "logging_steps is set twice, once under a former name, to 2 and to 3"),
        ("resume: true\nresume_from_checkpoint: null\n", [], "resume_from_checkpoint is set twice"),
        ("quantizer_loss_weights: 3\ncommitment_weight: 1\n", [], "quantizer_loss_weights is set twice"),
        ("commitment_weight: 1\nquantizer_loss_weights: {commitment: 2}\n", [], "quantizer_loss_weights is set twice"),
        ("- dataset\n", [], "expects a mapping of keys to values, found list"),
        ("", [], "expects a mapping of keys to values, found NoneType"),
        ("dataset: [d\n", [], "is not valid YAML"),
        ("[" * 100_000, [], "is nested too deep"),
        ("dataset: d\n", ["--lr", "-1"], r"lr expects a finite number of 0 or more, found -1\.0"),
        ("dataset: d\nlr: .inf\n", [], "lr expects a finite number of 0 or more, found inf"),
        ("dataset: d\nlr: .nan\n", [], "lr expects a finite number of 0 or more, found nan"),
        ("dataset: d\nseed: -1\n", [], "seed expects a finite number of 0 or more, found -1"),
        ("dataset: d\n", ["--batch-size", "0"], "batch_size expects 1 or more, found 0"),
        ("dataset: d\n", ["--max-steps", "0"], "max_steps expects 1 or more, found 0"),
        ("dataset: d\nema_decay: 1\n", [], r"ema_decay expects a number in \[0, 1\), found 1.0"),
        ("dataset: d\nstreaming: true\n", [], r"streaming was removed \(found True\): set packed to false"),
        ("dataset: d\n", ["--streaming"], "streaming was removed"),
        ("dataset: d\n", ["--frames-per-epoch", "5"], r"frames_per_epoch was removed \(found '5'\)"),
        ("dataset: d\npush_to_hub: true\n", [], "push_to_hub and hub_model_id 'user/name' belong together"),
        ("dataset: d\n", ["--hub-model-id", "user/name"], "push_to_hub and hub_model_id 'user/name' belong together"),
        ("dataset: d\nrun_name: a/b\n", [], "run_name expects the name of one folder, found 'a/b'"),
        ("epochs: 3\n", [], "No data"),
        (None, [], "No data"),
        (None, ["--config"], "The flag --config expects a value"),
    ],
)
def test_one_sentence_for_each_mistake(parse, text, flags, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(text, *flags)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"The configuration file nowhere\.yaml does not exist"):
        parse_arguments(VQVAEArguments, ["--config", "nowhere.yaml"])


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as stop:
        parse_arguments(VQVAEArguments, ["--help"])
    shown = capsys.readouterr().out
    assert stop.value.code == 0 and all(f"--{name}" in shown for name in SCALARS)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"latent_chanels": 64}, r"Unknown key model.latent_chanels \(did you mean 'latent_channels'\?\)"),
        ({1: 2}, "Unknown key model.1: SmokeVQVAE takes"),
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
def test_keys_and_types_of_the_model_are_checked(model, message):
    with pytest.raises(ValueError, match=message):
        check_arguments(SmokeVQVAE, model, "model")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_parse_and_build_their_model(path):
    arguments = parse_arguments(VQVAEArguments, ["--config", str(path), "--dataset", "data"])
    check_arguments(SmokeVQVAE, arguments.recipe.model, "model")
    assert path.read_text().startswith("#"), "a configuration opens with its command, hardware and expected result"


@pytest.mark.parametrize("size", [128, 256])
def test_the_configurations_for_larger_frames_have_16x16_codes(size):
    model = SmokeVQVAE(**parse_arguments(VQVAEArguments, ["--config", f"{size}_tiny"]).recipe.model)
    with torch.no_grad():
        assert model.encode(torch.zeros(1, 3, size, size)).indices.shape == (1, 16, 16)


def test_the_full_config_shows_every_key_of_config_json():
    arguments = parse_arguments(VQVAEArguments, ["--config", str(ROOT / "configs/config_vqvae.yaml"), "--dataset", "d"])
    keys = {name for name in inspect.signature(SmokeVQVAE.__init__).parameters if name != "self"}
    assert set(arguments.recipe.model) == keys


@pytest.mark.parametrize(("model_class", "recipe"), [(SmokeVQVAE, VQVAEArguments), (SmokeVQGAN, VQGANArguments)])
def test_the_configurations_with_4_channels_differ_in_nothing_else(model_class, recipe):
    values, configs = [], []
    for variant in ("", "_4channels"):
        file = ROOT / f"configs/config_{model_class.__name__.removeprefix('Smoke').lower()}{variant}.yaml"
        found = parse_arguments(recipe, ["--config", str(file)]).to_dict()
        with torch.device("meta"):
            configs.append(json.loads(model_class(**found.pop("model")).to_json_string()))
        # The full configuration spells out the defaults of both.
        values.append(
            {name: value for name, value in found.items() if name not in ("quantizer_loss_weights", "discriminator")}
        )
    assert values[1] == values[0] and configs[1] == configs[0] | {"latent_channels": 4}


OLD = {"checkpoint_every": 2, "checkpoint_steps": 7, "hub_private": True, "keep_checkpoints": 3, "log_every": 4}
OLD |= {"max_train_frames": 5, "max_validation_frames": 6, "num_workers": 1, "revive_every": 8, "validate_every": 9}
OLD |= {"commitment_weight": 0.25, "codebook_weight": 0.5}


def test_former_names_are_accepted_in_files_and_as_flags(parse):
    assert set(OLD) == set(RENAMED)
    flags = [word for name, value in OLD.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    from_file, from_flags = parse(yaml.safe_dump({"dataset": "d", **OLD})), parse("dataset: d\n", *flags)
    assert from_file == from_flags
    assert from_file.recipe.quantizer_loss_weights == {"commitment": 0.25, "codebook": 0.5}
    assert from_file.run.checkpointing_epochs == 2 and from_file.data.dataloader_num_workers == 1


def test_defaults_of_removed_arguments_are_ignored(parse):
    text = "dataset: d\nstreaming: false\nframes_per_epoch: null\n"
    assert parse(text, "--streaming", "false", "--epochs", "2") == parse("dataset: d\nepochs: 2\n")


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        (["--resume"], "latest"),
        (["--resume", "--epochs", "3"], "latest"),
        (["--resume", "1"], "latest"),
        (["--resume=yes"], "latest"),
        (["--resume", "false"], None),
        (["--resume", "No"], None),
        ([], None),
    ],
)
def test_resume_is_the_former_name_of_resume_from_the_latest_checkpoint(parse, flags, value):
    assert parse("dataset: d\n", *flags).run.resume_from_checkpoint == value
    text = yaml.safe_dump({"dataset": "d", "resume": value is not None})
    assert parse(text).run.resume_from_checkpoint == value


def test_weights_of_a_quantizers_losses(parse):
    text = "dataset: d\nquantizer_loss_weights: {commitment: 0.25}\n"
    assert parse(text).recipe.quantizer_loss_weights == {"commitment": 0.25}
    both = {"commitment": 0.25, "codebook": 2}
    assert parse(text, "--quantizer-loss-weights.codebook", "2").recipe.quantizer_loss_weights == both
    assert parse(text, "--quantizer-loss-weights", "{codebook: 2}").recipe.quantizer_loss_weights == both
    for value in ("-1", "much", ".nan"):
        with pytest.raises(ValueError, match=r"quantizer_loss_weights\.codebook expects a finite number of 0 or more"):
            parse(text, "--quantizer-loss-weights.codebook", value)


def test_help_is_in_groups(capsys):
    with pytest.raises(SystemExit):
        parse_arguments(VQVAEArguments, ["--help"])
    shown = capsys.readouterr().out
    places = [shown.index(f"\n{name}:\n") for name in ("data", "optimization", "run", "tracking", "Hub", "recipe")]
    assert places == sorted(places)


@pytest.mark.parametrize("card", ["smoke_vqvae_nano", "smoke_vqvae_tiny_simulated"])
def test_the_configuration_of_a_shipped_model_still_resumes_its_run(card):
    """A key that is added to the configuration with its default would be taken for a change of the model."""
    values = yaml.safe_load((ROOT / "model_cards" / card / "training_arguments.yaml").read_text())
    config = {"smoke_vqvae_nano": "nano", "smoke_vqvae_tiny_simulated": "tiny"}[card]
    arguments = parse_arguments(VQVAEArguments, ["--config", str(ROOT / f"configs/config_vqvae_{config}.yaml")])
    assert arguments.recipe.model == values["model"]
    assert check_same_run(Path("runs"), values, arguments) == []


def test_training_frames_are_counted_without_reading_them(tmp_path, tiny_frames):
    tiny_frames.save(tmp_path / "train.safetensors")

    def count(*flags: str) -> int | None:
        return parse_arguments(VQVAEArguments, ["--dataset", str(tmp_path), *flags]).count_frames()

    assert count() == len(tiny_frames) and count("--max-train-samples", "3") == 3
    assert count("--dataset-weights", "1") is None
    both = ["--dataset", str(tmp_path), "simulated:tiny"]
    assert parse_arguments(VQVAEArguments, both).count_frames() is None
