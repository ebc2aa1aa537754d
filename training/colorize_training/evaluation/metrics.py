"""Measures of one coloured picture against the true one; both are 8-bit sRGB (H, W, 3) with the same lightness."""

import numpy as np
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.spaces import ChromaSpace
from scipy import ndimage
from torch.nn import functional as F

from colorize_training.data import planes

SSIM_SIGMA, SSIM_C1, SSIM_C2 = 1.5, (0.01 * 255) ** 2, (0.03 * 255) ** 2  # Wang et al. 2004
AUC_LARGEST = 150  # Zhang et al. 2016, section 3.1: thresholds 0..150 of the ab distance
CLOSE = 10.0  # Akbulut and Atay count pixels further than a threshold, which they do not name; here in units of ab
EDGE_SHARE = 0.1  # pixels that count as chroma's boundaries


def measure(image: np.ndarray, truth: np.ndarray, space: ChromaSpace) -> dict[str, float]:
    """Every measure that needs no network, by name."""
    lab, true_lab = to_lab(image), to_lab(truth)
    distance = np.linalg.norm(lab[..., 1:] - true_lab[..., 1:], axis=-1)
    own, wanted = colourfulness(image), colourfulness(truth)
    return {
        "psnr": psnr(image, truth),
        "ssim": ssim(image, truth),
        "ciede2000": float(ciede2000(lab, true_lab).mean()),
        "auc": auc(distance),
        "huber": own_huber(image, truth, space),
        "l2": float(np.sqrt(np.square(distance).sum())),
        "far_pixels": float((distance > CLOSE).sum()),
        "boundary_psnr": boundary_psnr(image, truth, true_lab),
        "colourfulness": own,
        "colourfulness_difference": own - wanted,
    }


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB (H, W, 3) of 8-bit sRGB."""
    return srgb_to_lab(planes(rgb)).permute(1, 2, 0).numpy()


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit RGB (..., 3) over all channels; a perfect picture has 108."""
    error = np.mean((image.astype(float) - truth) ** 2)
    return float(-10 * np.log10(max(error, 1e-6) / 255**2))


def colourfulness(rgb: np.ndarray) -> float:
    """Hasler and Suesstrunk 2003, of 8-bit RGB (H, W, 3)."""
    r, g, b = rgb.astype(float).transpose(2, 0, 1)
    rg, yb = r - g, (r + g) / 2 - b
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004) with its Gaussian window of 11 pixels, the mean over the channels."""

    def blur(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, (SSIM_SIGMA, SSIM_SIGMA, 0), truncate=3.5)

    x, y = image.astype(float), truth.astype(float)
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y, both = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2, blur(x * y) - mean_x * mean_y
    above = (2 * mean_x * mean_y + SSIM_C1) * (2 * both + SSIM_C2)
    below = (mean_x**2 + mean_y**2 + SSIM_C1) * (var_x + var_y + SSIM_C2)
    border = 5  # half the window: further out it would see mirrored pixels
    return float((above / below)[border:-border, border:-border].mean())


def ciede2000(lab: np.ndarray, other: np.ndarray) -> np.ndarray:
    """CIEDE2000 colour difference (Sharma et al. 2005) of CIELAB arrays (..., 3)."""
    chroma = (np.hypot(lab[..., 1], lab[..., 2]) + np.hypot(other[..., 1], other[..., 2])) / 2
    stretch = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    l1, c1, h1 = _lch(lab, stretch)
    l2, c2, h2 = _lch(other, stretch)
    turn = np.where(np.abs(h2 - h1) > 180, np.sign(h1 - h2) * 360, 0) + h2 - h1
    turn = np.where(c1 * c2 == 0, 0, turn)
    hue_difference = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    lightness, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, _mean_hue(h1, h2, c1 * c2)
    cosines = ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.20, 4, -63))
    t = 1 + sum(weight * np.cos(np.radians(times * hue + shift)) for weight, times, shift in cosines)
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    bend = 2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    d_l, d_c, d_h = (l2 - l1) / s_l, (c2 - c1) / s_c, hue_difference / s_h
    return np.sqrt(np.maximum(d_l**2 + d_c**2 + d_h**2 - bend * d_c * d_h, 0))


def _lch(lab: np.ndarray, stretch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b = lab[..., 1] * stretch, lab[..., 2]
    return lab[..., 0], np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


def _mean_hue(h1: np.ndarray, h2: np.ndarray, both: np.ndarray) -> np.ndarray:
    total = h1 + h2
    around = np.where(total < 360, total + 360, total - 360)
    return np.where(both == 0, total, np.where(np.abs(h1 - h2) > 180, around, total) / 2)


def auc(distance: np.ndarray) -> float:
    """Area under the share of pixels within a threshold of ab distance, over thresholds 0..150, as 0..1."""
    shares = [(distance <= threshold).mean() for threshold in range(AUC_LARGEST + 1)]
    return float(np.trapezoid(shares) / AUC_LARGEST)


def own_huber(image: np.ndarray, truth: np.ndarray, space: ChromaSpace) -> float:
    """SmoothL1 of the chroma as 0..1 in the space that the recipe learns in, the mean over pixels and channels."""
    own, wanted = (space.from_srgb(planes(rgb)[None])[1] for rgb in (image, truth))
    return float(F.smooth_l1_loss(own, wanted))


def boundary_psnr(image: np.ndarray, truth: np.ndarray, true_lab: np.ndarray) -> float:
    """PSNR of the tenth of the pixels where the true chroma changes most: colour that bleeds shows here."""
    gradient = sum(np.hypot(ndimage.sobel(true_lab[..., c], 0), ndimage.sobel(true_lab[..., c], 1)) for c in (1, 2))
    edges = gradient >= np.quantile(gradient, 1 - EDGE_SHARE)
    return psnr(image[edges], truth[edges])


def frechet(own: np.ndarray, other: np.ndarray) -> float:
    """Frechet distance of the Gaussians through two sets of features (N, D) (Heusel et al. 2017)."""
    means = [x.mean(0) for x in (own, other)]
    covariances = [np.atleast_2d(np.cov(x, rowvar=False)) for x in (own, other)]
    # the trace of the root of the product: its eigenvalues are real and not negative, whatever rounding says
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1])
    root = np.sqrt(np.maximum(eigenvalues.real, 0)).sum()
    return float(np.square(means[0] - means[1]).sum() + sum(np.trace(c) for c in covariances) - 2 * root)
