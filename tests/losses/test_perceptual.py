"""The perceptual losses against torchvision's layers and the lpips package, with random weights."""

import shutil
import socket
import time
import urllib.request
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

from smoke_vq.losses import LPIPS, PERCEPTUAL_LOSSES, PerceptualLoss
from smoke_vq.losses import backbone_weights as module
from smoke_vq.losses.backbone_weights import VARIABLES, backbone_weights, expected_shapes

BACKBONES = {"vgg16": "vgg16", "lpips_vgg": "vgg16", "lpips_alex": "alexnet"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of random weights in half precision for each network."""
    folder = tmp_path_factory.mktemp("weights")
    generator = torch.Generator().manual_seed(0)
    for net in VARIABLES:
        weights = {}
        for name, shape in expected_shapes(net).items():
            scale = (2 / shape[1:].numel()) ** 0.5 if len(shape) > 1 else 0.1
            weights[name] = (scale * torch.randn(shape, generator=generator)).half()
        save_file(weights, folder / f"{net}.safetensors")
    return {net: folder / f"{net}.safetensors" for net in VARIABLES}


@pytest.fixture(scope="module")
def losses(files):
    return {name: loss(files[BACKBONES[name]]) for name, loss in PERCEPTUAL_LOSSES.items()}


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """Two batches (2, 3, 32, 32) in [-1, 1]."""
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1 for _ in range(2))


@pytest.fixture
def bare_machine(monkeypatch, tmp_path):
    """No variable, an empty torchvision cache, and a proxy that accepts connections and never answers."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers the proxy of the first request
    monkeypatch.setattr(module, "_SECONDS_WITHOUT_ANSWER", 0.2)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        yield tmp_path / "hub" / "checkpoints"


def torchvision_features(net: str, file) -> torch.nn.Sequential:
    import torchvision

    with torch.device("meta"):
        network = getattr(torchvision.models, net)(weights=None)
    weights = {name.removeprefix("features."): value.float() for name, value in load_file(file).items()}
    network.features.load_state_dict(weights, assign=True)
    return network.features.eval()


def test_features_equal_those_of_torchvision(files, losses, images):
    """relu1_2, relu2_2, relu3_3 and relu4_3 of the image, normalised by torchvision's transform."""
    from torchvision.transforms import Normalize

    layers = torchvision_features("vgg16", files["vgg16"])
    # (block, convolution) of each ReLU, as in the paper of VGG.
    named, block, convolution = {}, 1, 0
    hidden = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))((images[0] + 1) / 2)
    with torch.no_grad():
        for layer in layers:
            hidden = layer(hidden).clone()  # torchvision's ReLUs work in place
            convolution += isinstance(layer, torch.nn.Conv2d)
            if isinstance(layer, torch.nn.MaxPool2d):
                block, convolution = block + 1, 0
            if isinstance(layer, torch.nn.ReLU):
                named[f"relu{block}_{convolution}"] = hidden
        found = losses["vgg16"].features(images[0])
    assert len(found) == 4
    for name, feature in zip(("relu1_2", "relu2_2", "relu3_3", "relu4_3"), found, strict=True):
        torch.testing.assert_close(feature, named[name], rtol=1e-4, atol=1e-4)


def test_distance_equals_the_formula_of_the_paper_in_float64(losses, images):
    """Zhang et al. (2018), eq. 1 with w = 1, and the mean over the layers."""
    loss = losses["vgg16"]
    features, target = ([f.double() for f in loss.features(image)] for image in images)
    expected = torch.zeros(2, dtype=torch.float64)
    for found, wanted in zip(features, target, strict=True):
        found, wanted = (f / f.square().sum(dim=1, keepdim=True).sqrt() for f in (found, wanted))
        expected += (found - wanted).square().sum(dim=1).flatten(1).mean(dim=1) / 4
    torch.testing.assert_close(loss(*images).double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["lpips_vgg", "lpips_alex"])
def test_lpips_equals_the_lpips_package(files, losses, images, name):
    import lpips

    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = lpips.LPIPS(net=name.removeprefix("lpips_"), pretrained=False, pnet_rand=True, verbose=False)
    heads = torch.load(
        f"{lpips.__path__[0]}/weights/v0.1/{name.removeprefix('lpips_')}.pth", map_location="cpu", weights_only=True
    )
    reference.load_state_dict(heads, strict=False, assign=True)
    layers = torchvision_features(BACKBONES[name], files[BACKBONES[name]])
    for part in (
        reference.net.slice1,
        reference.net.slice2,
        reference.net.slice3,
        reference.net.slice4,
        reference.net.slice5,
    ):
        for index in list(part._modules):
            part._modules[index] = layers[int(index)]
    reference.scaling_layer = lpips.ScalingLayer()
    with torch.no_grad():
        expected = reference.eval()(*images)
    assert expected.shape == (2, 1, 1, 1)
    torch.testing.assert_close(losses[name](*images), expected.flatten(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", PERCEPTUAL_LOSSES)
class TestEveryLoss:
    def test_is_a_distance(self, losses, images, name):
        loss = losses[name]
        one, other = images
        there, back, stay = loss(one, other), loss(other, one), loss(one, one)
        assert there.shape == (2,) and there.dtype == torch.float32
        assert (there > 0).all()
        assert (stay == 0).all()
        torch.testing.assert_close(there, back)

    def test_treats_images_independently(self, losses, images, name):
        together = losses[name](*images)
        apart = torch.cat([losses[name](*(image[i : i + 1] for image in images)) for i in range(2)])
        torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-6)

    def test_features_of_the_target_need_no_gradient(self, losses, images, name):
        loss = losses[name]
        sample, target = images
        sample.requires_grad_()
        [expected] = torch.autograd.grad(loss(sample, target).sum(), sample)
        with torch.no_grad():
            features = loss.features(target)
        [found] = torch.autograd.grad(loss.distance(loss.features(sample), features).sum(), sample)
        assert torch.equal(found, expected)
        assert expected.abs().sum() > 0

    def test_gradient_equals_finite_differences(self, losses, images, name):
        loss = losses[name].double()
        try:
            sample, target = (image[:1].double() for image in images)
            direction = torch.randn(sample.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
            sample.requires_grad_()
            [gradient] = torch.autograd.grad(loss(sample, target).sum(), sample)
            with torch.no_grad():
                ahead, behind = (loss(sample + step * direction, target) for step in (1e-8, -1e-8))
            assert float((ahead - behind) / 2e-8) == pytest.approx(float((gradient * direction).sum()), rel=1e-3)
        finally:
            loss.float()

    def test_is_frozen(self, losses, name):
        loss = losses[name]
        assert not any(parameter.requires_grad for parameter in loss.parameters())
        torch.nn.Sequential(loss).train()
        assert not any(part.training for part in loss.modules())

    def test_black_images_have_a_finite_gradient(self, losses, name):
        """Most of a frame is black, and all features of a position may be 0."""
        sample = torch.full((1, 3, 32, 32), -1.0, requires_grad=True)
        losses[name](sample, -sample.detach()).sum().backward()
        assert sample.grad.isfinite().all()

    def test_bf16_convolutions_leave_the_rest_in_float32(self, losses, images, name):
        loss = losses[name]
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            features = [loss.features(image) for image in images]
            distance = loss.distance(*features)
            halves = loss(*(image.bfloat16() for image in images))
        assert all(feature.dtype == torch.bfloat16 for feature in features[0])
        assert distance.dtype == halves.dtype == torch.float32
        exact = loss.distance(*([feature.float() for feature in part] for part in features))
        assert torch.equal(distance, exact)
        torch.testing.assert_close(distance, loss(*images), rtol=0.05, atol=0)

    def test_accepts_its_smallest_size_and_refuses_smaller_images(self, losses, name):
        loss = losses[name]
        size = loss.min_size
        assert loss(torch.zeros(1, 3, size, size), torch.ones(1, 3, size, size)).isfinite().all()
        for shape in ((1, 3, size - 1, 64), (1, 2, 64, 64), (3, 64, 64)):
            with pytest.raises(ValueError, match=f"H and W of {size} or more, found"):
                loss.features(torch.zeros(shape))


def test_positions_with_zero_features_have_a_distance_and_a_finite_gradient(losses):
    features = [torch.zeros(1, 4, 2, 2, requires_grad=True) for _ in range(4)]
    target = [torch.ones(1, 4, 2, 2) for _ in range(4)]
    distance = losses["vgg16"].distance(features, target)
    distance.sum().backward()
    assert float(distance.detach()) == pytest.approx(1)
    assert all(feature.grad.isfinite().all() for feature in features)


def test_half_precision_files_are_read_as_float32(files, losses):
    stored = load_file(files["vgg16"])
    weights = backbone_weights("vgg16", files["vgg16"])
    assert {name: value.dtype for name, value in weights.items()} == dict.fromkeys(stored, torch.float32)
    assert all(torch.equal(weights[name], stored[name].float()) for name in stored)
    assert all(parameter.dtype == torch.float32 for parameter in losses["vgg16"].parameters())


def test_a_path_takes_precedence_over_the_variable_and_the_variable_over_the_cache(
    files, bare_machine, monkeypatch, tmp_path
):
    found = {}
    bare_machine.mkdir(parents=True)
    for number, place in enumerate(("cache", "variable", "path"), start=1):
        weights = load_file(files["alexnet"])
        weights["features.0.bias"][:] = number
        if place == "cache":
            # like torchvision's file: a pickle, with the classifier
            weights["classifier.1.bias"] = torch.zeros(2)
            torch.save(weights, bare_machine / "alexnet-owt-7be5be79.pth")
        else:
            save_file(weights, tmp_path / f"{place}.safetensors")
        if place == "variable":
            monkeypatch.setenv("SMOKE_VQ_ALEXNET", str(tmp_path / "variable.safetensors"))
        path = tmp_path / "path.safetensors" if place == "path" else None
        found[place] = backbone_weights("alexnet", path)
    assert {place: float(weights["features.0.bias"][0]) for place, weights in found.items()} == {
        "cache": 1,
        "variable": 2,
        "path": 3,
    }
    assert found["cache"].keys() == found["path"].keys() == expected_shapes("alexnet").keys()


@pytest.mark.parametrize("loss", PERCEPTUAL_LOSSES.values(), ids=PERCEPTUAL_LOSSES)
def test_without_weights_the_error_says_where_to_get_them(bare_machine, loss):
    started = time.monotonic()
    with pytest.raises(OSError, match=r"timed out\): download https://download\.pytorch\.org/\S+\.pth, .*") as caught:
        loss()
    assert time.monotonic() - started < 10, "the download did not time out"
    assert socket.getdefaulttimeout() is None
    for way in ("-weights", "--perceptual-weights", "SMOKE_VQ_"):
        assert way in str(caught.value)


def test_a_damaged_file_in_the_cache_of_torchvision_is_named(bare_machine):
    bare_machine.mkdir(parents=True)
    (bare_machine / "alexnet-owt-7be5be79.pth").write_bytes(b"not found")
    with pytest.raises(ValueError, match=rf"alexnet in {bare_machine} are damaged: delete them, or download https"):
        backbone_weights("alexnet")


def test_a_file_that_does_not_exist_is_not_replaced_by_another(files, tmp_path, monkeypatch):
    monkeypatch.setenv("SMOKE_VQ_VGG16", str(files["vgg16"]))
    with pytest.raises(FileNotFoundError, match=r"The file '.*absent\.safetensors' with the weights of vgg16 does"):
        backbone_weights("vgg16", tmp_path / "absent.safetensors")


def test_a_file_of_another_network_is_refused(files):
    with pytest.raises(ValueError, match=r"does not hold torchvision's vgg16: 'features\.0\.weight' has the shape"):
        PerceptualLoss(files["alexnet"])


def test_a_file_with_a_missing_weight_is_refused(files, tmp_path):
    weights = load_file(files["alexnet"])
    del weights["features.8.bias"]
    save_file(weights, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"does not hold torchvision's alexnet: 'features\.8\.bias' is missing"):
        LPIPS("alex", tmp_path / "part.safetensors")


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_a_damaged_file_is_refused(files, tmp_path, name):
    if name.endswith("pth"):
        torch.save(load_file(files["alexnet"]), tmp_path / name)
    else:
        shutil.copy(files["alexnet"], tmp_path / name)
    for content in ((tmp_path / name).read_bytes()[:-1000], b"", b"<html>not found</html>"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="are damaged"):
            backbone_weights("alexnet", tmp_path / name)


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match=r"Unknown LPIPS network 'squeeze': expected one of \['alex', 'vgg'\]"):
        LPIPS("squeeze")
