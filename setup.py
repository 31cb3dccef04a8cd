from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

version = {}
exec(Path(__file__).with_name("smoke_vq").joinpath("version.py").read_text(), version)

videos = ["av>=12", "opencv-python-headless>=4.8", "pymatting>=1.1.12", "scipy>=1.10"]
extras = {
    "demo": ["gradio>=6", *videos],
    "docs": ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26"],
    "evaluation": ["torch-fidelity>=0.4"],
    "forecast": ["matplotlib>=3.8", "opencv-python-headless>=4.8"],
    "onnx": ["onnx>=1.18", "onnxruntime>=1.22", "onnxscript>=0.5"],
    "rise": videos,
    "tracking": ["tensorboard>=2.14", "trackio>=0.2", "wandb>=0.16", "pillow<13"],
    "test": [
        *(
            "flow_matching>=1.0",
            "hypothesis>=6.100",
            "ipykernel>=6.29",
            "mypy>=1.8",
            "nbclient>=0.10",
            "pytest>=8",
            "pytest-xdist>=3.5",
            "ruff==0.17.6",
            "scikit-image>=0.22",
            "scikit-learn>=1.5",
            "selenium>=4.20",
            "tensorboard>=2.14",
        ),
    ],
}
extras["all"] = sorted({requirement for group in extras.values() for requirement in group})

ASSETS = (
    "scripts/**/*.py",
    "web/*.html",
    "web/*.js",
    "configs/**/*.yaml",
    "model_cards/*.md",
    "model_cards/smoke_vqvae_nano/*",
    "model_cards/smoke_vqgan_nano/*",
    "model_cards/smoke_vqgan_nano_sharp/*",
    "model_cards/smoke_forecaster_nano/**/*",
)


class BuildWithAssets(build_py):
    """Adds the files that smoke_vq/assets.py looks for; an editable install finds them in the checkout."""

    def run(self):
        super().run()
        if not self.editable_mode:
            source, target = Path(__file__).parent, Path(self.build_lib, "smoke_vq")
            for pattern in ASSETS:
                for path in filter(Path.is_file, source.glob(pattern)):
                    copy = target / path.relative_to(source)
                    self.mkpath(str(copy.parent))
                    self.copy_file(str(path), str(copy))


setup(
    name="smoke-vq",
    version=version["__version__"],
    description="Discrete autoencoders (VQ-VAE, VQGAN) for smoke plumes, built on diffusers",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    package_dir={"": "."},  # an editable install is then a path that type checkers can follow
    packages=find_packages(include=["smoke_vq", "smoke_vq.*"]),
    package_data={"smoke_vq": ["py.typed", "preparation/*/card.md", "tokens/*.md"]},
    entry_points={"console_scripts": ["smoke-vq=smoke_vq.cli:main"]},
    cmdclass={"build_py": BuildWithAssets},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.11",
        "diffusers>=0.40",
        "transformers>=5.17",
        "accelerate>=1.15",
        "huggingface_hub>=1.33",
        "datasets>=4.8",
        "safetensors>=0.8",
        "lpips>=0.1.4",
        "torchdiffeq>=0.2.5",
        "torchvision>=0.26",
        "torchmetrics>=1.9",
        "pillow>=10",
        "numpy>=1.26",
        "pyyaml>=6",
        "tqdm>=4.66",
        "jinja2>=3.1",
    ],
    extras_require=extras,
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
