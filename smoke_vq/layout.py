"""The names of all files in a run's folder, in a model's folder and in a published repository."""

# A model's folder, as diffusers and transformers write it.
CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
WEIGHTS_INDEX = "diffusion_pytorch_model.safetensors.index.json"
PROCESSOR = "preprocessor_config.json"
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
CHECKPOINTS = "checkpoints"
HISTORY = "history.jsonl"
SAMPLE_ROWS = "samples"  # one strip of reconstructions for each validation; SAMPLES shows them all

# The files of a model's folder that are published. Matching files in the repository that are not pushed again are
# deleted, because they belong to the replaced weights.
WEIGHTS_FILES = ("diffusion_pytorch_model*.safetensors", f"{DISCRIMINATOR}/diffusion_pytorch_model*.safetensors")
MODEL_FILES = (
    *WEIGHTS_FILES,
    *("diffusion_pytorch_model*.index*.json", f"{DISCRIMINATOR}/diffusion_pytorch_model*.index*.json"),
    *(CONFIG, f"{DISCRIMINATOR}/{CONFIG}", PROCESSOR, VALIDATION, METRICS, PICTURE, SAMPLES, TRAINING, ARGUMENTS),
    *(CARD, EVAL_RESULTS),
)

# A dataset's folder, which holds CARD too.
DATA = "data"  # Parquet files
CONTACT_SHEET = "contact_sheet.png"
ANIMATION = "animation.webp"  # simulated plumes only
SETTINGS = "settings.json"  # simulated plumes and codes: what the content depends on
DROPPED = "dropped.json"  # RISE only: the clips that were dropped, and why
DATASET_FILES = (f"{DATA}/*.parquet", CARD, CONTACT_SHEET, ANIMATION, SETTINGS, DROPPED)
