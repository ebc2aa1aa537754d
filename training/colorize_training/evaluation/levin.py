"""Colorization by optimization (Levin, Lischinski and Weiss 2004): no network, the baseline of every hint curve.

Each pixel's chroma is the mean of its neighbours' weighted by how like their lightness is; hinted pixels keep their
colour. The paper works in YUV; the equations are the same for any chroma, and here it is ab, with L kept.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

REACH = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
VARIANCE_SHARE, LEAST_VARIANCE, FARTHEST = 0.6, 2e-6, 0.01  # of the authors' own program


def spread_hints(lightness: np.ndarray, ab: np.ndarray, known: np.ndarray) -> np.ndarray:
    """ab (H, W, 2) everywhere, of L (H, W) in 0..100 and of ab where `known` (H, W) is true; gray without any hint."""
    if known.all() or not known.any():
        return np.where(known[..., None], ab, 0.0)
    weights, neighbours = _affinities(lightness / 100)
    size, fixed = known.size, known.ravel()
    rows = np.repeat(np.arange(size), len(REACH))
    means = sparse.csr_array((weights.ravel(), (rows, neighbours.ravel())), shape=(size, size))
    equations = (sparse.eye_array(size, format="csr") - means)[~fixed]
    spread = np.where(fixed[:, None], ab.reshape(size, 2), 0.0)
    # Only what is free is solved for: the pattern is then symmetric, and an ordering made for such halves the time.
    factors = splu(
        equations[:, ~fixed].tocsc(), "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    spread[~fixed] = factors.solve(-equations[:, fixed] @ spread[fixed])
    return spread.reshape(ab.shape)


def _affinities(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and numbers (H * W, 8) of each pixel's neighbours; those beyond the border weigh nothing."""
    height, width = gray.shape
    padded = np.pad(gray, 1, constant_values=np.nan)
    around = np.stack([padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in REACH], -1)
    window = np.concatenate([around, gray[..., None]], -1)
    squared = (around - gray[..., None]) ** 2
    variance = VARIANCE_SHARE * np.nanvar(window, -1)
    variance = np.maximum(variance, -np.nanmin(squared, -1) / np.log(FARTHEST))
    weights = np.exp(-squared / np.maximum(variance, LEAST_VARIANCE)[..., None])
    weights = np.nan_to_num(weights, nan=0.0)
    weights /= weights.sum(-1, keepdims=True)
    ys, xs = np.mgrid[:height, :width]
    numbers = [(ys + dy).clip(0, height - 1) * width + (xs + dx).clip(0, width - 1) for dy, dx in REACH]
    return weights.reshape(-1, len(REACH)), np.stack(numbers, -1).reshape(-1, len(REACH))
