"""The names of all files in a run's folder, in a model's folder and in a published repository."""

# A model's folder, as diffusers and transformers write it.
CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
WEIGHTS_INDEX = "diffusion_pytorch_model.safetensors.index.json"
PROCESSOR = "preprocessor_config.json"
MODEL_CODE = "smoke_vq_model.py"  # import the class for other libraries, with trust_remote_code=True
PROCESSOR_CODE = "smoke_vq_processor.py"
CHECKSUMS = "checksums.sha256"  # a name without a dot, such as SHA256SUMS, breaks pipelines of diffusers
DISCRIMINATOR = "discriminator"  # a folder with a model of its own

# Files that training adds to it.
VALIDATION = "validation.json"  # figures of the last validation, and its step
METRICS = "metrics.json"  # figures of the final evaluation, by column of the table
PICTURE = "reconstructions.png"
SAMPLES = "samples.png"
TRAINING = "training.json"  # command, commit, hardware and data of the training
ARGUMENTS = "training_arguments.yaml"
CARD = "README.md"
EVAL_RESULTS = ".eval_results/reconstruction.yaml"

# A pipeline's folder, as diffusers writes it: a subfolder for each part.
PIPELINE = "model_index.json"
AUTOENCODER = "autoencoder"
TRANSFORMER = "transformer"
PROJECTION = "projection"
PROCESSOR_FOLDER = "processor"
PIPELINE_PARTS = (AUTOENCODER, TRANSFORMER, PROJECTION, PROCESSOR_FOLDER)

# A run's folder, which holds SAMPLES and ARGUMENTS too.
BEST = "best"
LAST = "last"
FORECASTER = "forecaster"  # a pipeline, of a forecaster's training
CHECKPOINTS = "checkpoints"
MANIFEST = "manifest.json"  # of a checkpoint: the sha256 of its files
HISTORY = "history.jsonl"
HEARTBEAT = "heartbeat.json"
SAMPLE_ROWS = "samples"  # one strip of reconstructions for each validation; SAMPLES shows them all

# An exported model, and what the page in web/ reads beside it.
ENCODER_ONNX = "encoder.onnx"
DECODER_ONNX = "decoder.onnx"
PAGE_SETTINGS = "settings.json"

# Pictures of a pipeline's folder: a film, and what smoke-vq evaluate-forecast draws.
FILM = "forecast.webp"
BY_HORIZON = "by_horizon.png"

# The files of a model's or pipeline's folder that are published. Matching files in the repository that are not pushed
# again are deleted, because they belong to the replaced weights.
_FOLDERS = ("", *(f"{name}/" for name in (DISCRIMINATOR, AUTOENCODER, TRANSFORMER, PROJECTION)))
WEIGHTS_FILES = tuple(f"{folder}diffusion_pytorch_model*.safetensors" for folder in _FOLDERS)
MODEL_FILES = (
    *WEIGHTS_FILES,
    *(f"{folder}diffusion_pytorch_model*.index*.json" for folder in _FOLDERS),
    *(f"{folder}{CONFIG}" for folder in _FOLDERS),
    *(f"{folder}{MODEL_CODE}" for folder in _FOLDERS),
    *(f"{folder}{CHECKSUMS}" for folder in _FOLDERS),
    *(f"{folder}{name}" for folder in ("", f"{PROCESSOR_FOLDER}/") for name in (PROCESSOR, PROCESSOR_CODE)),
    f"{PROCESSOR_FOLDER}/{CHECKSUMS}",
    PIPELINE,
    *(VALIDATION, METRICS, PICTURE, SAMPLES, FILM, BY_HORIZON, TRAINING, ARGUMENTS, CARD, EVAL_RESULTS),
)

# A dataset's folder, which holds CARD and CHECKSUMS too.
DATA = "data"  # Parquet files
CONTACT_SHEET = "contact_sheet.png"
ANIMATION = "animation.webp"  # simulated plumes only
SETTINGS = "settings.json"  # simulated plumes and codes: what the content depends on
DROPPED = "dropped.json"  # RISE only: the clips that were dropped, and why
DATASET_FILES = (f"{DATA}/*.parquet", CARD, CONTACT_SHEET, ANIMATION, SETTINGS, DROPPED, CHECKSUMS)
