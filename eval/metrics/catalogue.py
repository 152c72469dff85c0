"""All metrics: their units, whether more is better, and whether training or the encoder used them.

A codec may be good by a metric because it is good, or because it was optimised for the metric. So each metric has a
role. A metric that *selects* was used by a loss or by a choice of the encoder, or its network was. A metric that only
*reports* was not: neither weights nor files depend on it. Claims should rest on metrics that report. METRICS also has
the metrics of other packages (`own`), which report.
"""

from __future__ import annotations

from dataclasses import dataclass

from .own import load_own

__all__ = ["METRICS", "OWN", "UNUSABLE", "Metric"]


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes:
        name: its key in results.
        label: for tables and axes.
        unit: "dB", or nothing.
        rises: whether more is better.
        selects: whether it takes part in training or in the encoder's choices.
        what: one sentence for the report, with its source.
        of_set: whether it belongs to a set of images, not to one.
        slow: whether it takes seconds per image and is measured only on demand.
    """

    name: str
    label: str
    rises: bool
    selects: bool
    what: str
    unit: str = ""
    of_set: bool = False
    slow: bool = False

    @property
    def role(self) -> str:
        """`selects` or `reports`."""
        return "selects" if self.selects else "reports"

    @property
    def axis(self) -> str:
        """The label with the unit and an arrow towards the better side."""
        return f"{self.label}{f' ({self.unit})' if self.unit else ''} {'↑' if self.rises else '↓'}"


BUILT_IN = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR", True, True, "Peak signal-to-noise ratio of RGB; the pixel stream learns by it.", "dB"),
        Metric("ssim", "SSIM", True, False, "Structural similarity (Wang 2004), of RGB, by pytorch-msssim."),
        Metric("ms_ssim", "MS-SSIM", True, False, "SSIM on five scales (Wang 2003), of RGB, by pytorch-msssim."),
        Metric(
            "st_lpips",
            "ST-LPIPS",
            False,
            False,
            "Shift-tolerant LPIPS on AlexNet (Ghildyal & Liu 2022); training uses another net, VGG.",
        ),
        Metric("lpips", "LPIPS", False, False, "LPIPS on AlexNet (Zhang 2018), by torchmetrics."),
        Metric("dists", "DISTS", False, False, "Structure and texture on VGG16 (Ding 2020), by torchmetrics."),
        Metric(
            "vgg",
            "VGG16 distance",
            False,
            True,
            "Relative distance of features of a VGG16 that HED (Xie & Tu 2015) fine-tuned for edges from ImageNet. "
            "It is not LPIPS: nothing was fitted to what people see, and a loss of the decoder uses the same network.",
            slow=True,
        ),
        Metric("vit_patch", "ViT patch", True, True, "Mean cosine of the ViT's 16x16 patch tokens: structure."),
        Metric("vit_mean", "ViT mean", True, True, "Cosine of the mean of the ViT's patch tokens: content."),
        Metric("clip", "CLIP likeness", True, True, "Cosine of the embedded CLIP's image embeddings."),
        Metric(
            "clip_text",
            "CLIP text",
            True,
            True,
            "Cosine of the embedded CLIP's embeddings of the decoded image and of the original's caption.",
        ),
        Metric(
            "caption",
            "Caption",
            True,
            True,
            "Cosine of MiniLM's vectors of the describer's captions of the decoded image and of the original.",
            slow=True,
        ),
        Metric(
            "frechet",
            "ViT Fréchet",
            False,
            True,
            "Fréchet distance of the ViT's mean tokens on patches of 256 pixels (as FID/256, Mentzer 2020). "
            "It depends on how many patches there are: compare within one data set only.",
            of_set=True,
        ),
    )
}

OWN, UNUSABLE = load_own(BUILT_IN)  # classes of other packages, and why some cannot be used

METRICS = BUILT_IN | {
    name: Metric(name, each.label, each.rises, False, getattr(each, "what", ""), getattr(each, "unit", ""))
    for name, each in OWN.items()
}
