"""Regions that are found in photographs without anybody's help, once for each photograph: things to paint strokes on.

Felzenszwalb and Huttenlocher's segmentation (2004, "Efficient Graph-Based Image Segmentation") of the colours at three
scales, since nobody knows whether a stroke means an eye, the face or the person. In 60 photographs with 548 regions
that people drew (27 November 2026), the region at a drawn one's deepest place overlaps with it by 0.42 (mean IoU, the
middle scale), or 0.54 where one takes the best of the three; what hangs together in one colour there, by 0.24. The
comparison was made by hand and has no command.
"""

import dataclasses
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from colorize_engine.colour.conversions import srgb_to_lab
from skimage.segmentation import felzenszwalb
from torch.nn import functional as F
from tqdm import tqdm

from colorize_training.data.photographs import PackedPhotographs, PackedRegions, mapped
from colorize_training.data.things import MASK_STRIDE, SMALLEST
from colorize_training.writing import replacing

SCALES = (40.0, 100.0, 300.0)  # of regions in a photograph of AREA cells, in lengths of CIELAB over 100
AREA = 88 * 117
SMOOTHED = 0.8  # cells
BLOCK = 256  # photographs whose maps are found, and then written


def found_regions(rgb: np.ndarray) -> np.ndarray:
    """RGB (H, W, 3) uint8 -> maps (scales, H // 2, W // 2) uint8 that number the regions of each scale from 0."""
    height, width = (side // MASK_STRIDE for side in rgb.shape[:2])
    planes = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float() / 255
    small = F.avg_pool2d(planes[None, :, : height * MASK_STRIDE, : width * MASK_STRIDE], MASK_STRIDE)[0]
    lab = srgb_to_lab(small).permute(1, 2, 0).double().numpy() / 100
    smallest = int(np.ceil(height * width * SMALLEST))  # so there are at most 1 / SMALLEST of them
    maps = [felzenszwalb(lab, scale * height * width / AREA, SMOOTHED, smallest) for scale in SCALES]
    return np.stack(maps).astype(np.uint8)


def with_regions(photographs: PackedPhotographs, folder: Path) -> PackedPhotographs:
    """The photographs with their regions, which are read from `folder`, or found and kept there."""
    values, index = folder / "regions.u8", folder / "regions.npy"
    if not index.exists():
        _find(photographs, values, index)
    return dataclasses.replace(photographs, regions=PackedRegions(mapped(values), np.load(index)))


def _find(photographs: PackedPhotographs, values: Path, index: Path) -> None:
    rows, offset = [], 0
    with replacing(values) as part, open(part, "wb") as out:
        for maps in tqdm(_all(photographs), total=len(photographs), desc="finding regions", unit="img"):
            rows.append((offset, *maps.shape))
            offset += out.write(maps.tobytes())
    with replacing(index) as part:
        np.save(part, np.array(rows, dtype=np.int64))


def _all(photographs: PackedPhotographs) -> Iterator[np.ndarray]:
    """The maps of each, in order, by a thread for each processor: the segmentation does not hold Python's lock."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        for first in range(0, len(photographs), BLOCK):
            block = range(first, min(first + BLOCK, len(photographs)))
            yield from threads.map(lambda number: found_regions(photographs[number]), block)
