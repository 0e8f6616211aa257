"""EfficientNet B0-B7 as this project trains them. No other module repeats these numbers.

The published columns come from the study that this project started from, one run each: a GTX 1070
(8 GB), 19,658 private training images, 10 epochs, Adam with its defaults, binary cross-entropy.
The study dropped the last, partial batch, so it scored only a part of its 1,488 test images.
"""

from dataclasses import dataclass
from datetime import timedelta

from nsfwtrain.errors import VariantError


@dataclass(frozen=True, slots=True)
class Variant:
    """One size of EfficientNet.

    Attributes
    ----------
    name
        ``b0`` to ``b7``.
    image_size
        Side of the square input, in pixels.
    batch_size
        Number of images in a training step.
    feature_dim
        Length of the feature vector.
    backbone_parameters
        Number of parameters of the frozen backbone.
    published_loss, published_accuracy
        Binary cross-entropy and accuracy on the study's test images.
    published_time
        Duration of the study's training.
    """

    name: str
    image_size: int
    batch_size: int
    feature_dim: int
    backbone_parameters: int
    published_loss: float
    published_accuracy: float
    published_time: timedelta

    @property
    def parameters(self) -> int:
        """Number of parameters with the head, which has a weight for each feature and a bias."""
        return self.backbone_parameters + self.feature_dim + 1

    @property
    def handle(self) -> str:
        """TensorFlow Hub's handle of the backbone: float32 in [0, 1], any height and width."""
        return f"https://tfhub.dev/tensorflow/efficientnet/{self.name}/feature-vector/1"


def _time(minutes: int, seconds: float) -> timedelta:
    return timedelta(minutes=minutes, seconds=seconds)


VARIANTS: tuple[Variant, ...] = (
    Variant("b0", 224, 512, 1280, 4_049_564, 0.3236, 0.8516, _time(9, 48.603)),
    Variant("b1", 240, 256, 1280, 6_575_232, 0.2958, 0.8781, _time(12, 29.039)),
    Variant("b2", 260, 256, 1408, 7_768_562, 0.2696, 0.8750, _time(15, 38.572)),
    Variant("b3", 300, 128, 1536, 10_783_528, 0.2599, 0.8864, _time(24, 24.092)),
    Variant("b4", 380, 128, 1792, 17_673_816, 0.2387, 0.8991, _time(49, 44.266)),
    Variant("b5", 456, 64, 2048, 28_513_520, 0.2347, 0.9042, _time(98, 26.809)),
    Variant("b6", 528, 32, 2304, 40_960_136, 0.2351, 0.9042, _time(177, 17.915)),
    Variant("b7", 600, 32, 2560, 64_097_680, 0.2382, 0.9076, _time(306, 44.716)),
)


def by_name(name: str) -> Variant:
    """Find a variant by its name, in upper or lower case.

    Raises
    ------
    VariantError
        If no variant has that name.
    """
    for row in VARIANTS:
        if row.name == name.lower():
            return row
    raise VariantError(
        f"there is no variant {name!r}; there are {', '.join(r.name for r in VARIANTS)}"
    )
