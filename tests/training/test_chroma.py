"""The default recipe learns what a stroke reaches."""

from pathlib import Path

import torch
from colorize_training.data import PackedPhotographs
from colorize_training.losses import reach_iou, reach_loss
from colorize_training.running.loop import Run
from colorize_training.settings import LoopSettings
from learning import all_of, unvaried

STEPS = 40


@torch.no_grad()
def measured_iou(run: Run) -> float:
    """Of the run's own photographs, with the hints that it always draws of them."""
    return run.recipe.loss(run.network, all_of(run), "loss")[1]["reach_iou"].item()


def test_what_strokes_reach_is_learned(packed: PackedPhotographs, tmp_path: Path) -> None:
    recipe = unvaried("chroma", {"lr": 3e-3, "encoder": "mobilenet_v2", "backbone": "random"})
    settings = LoopSettings(STEPS * 8, size=32, schedule="constant", threads=1)
    run = Run(recipe, settings, packed.subset(range(8)), tmp_path)
    before = measured_iou(run)
    for _ in range(STEPS):
        values = run.train_step()
    assert values.keys() == {"loss", "distribution", "regression", "thing", "reach", "several", "silence", "reach_iou"}
    assert measured_iou(run) > before + 0.2


def test_the_reach_of_a_picture_whose_things_are_not_known_counts_nothing() -> None:
    reach = torch.zeros(3, 8, 8, dtype=torch.bool)
    reach[:, 2:5, 2:5] = True
    right = torch.where(reach, 20.0, -20.0)
    known = torch.tensor([True, True, False])
    assert reach_loss(right, reach, known) < 1e-3
    wrong = torch.stack([right[0], right[1], -right[2]])
    assert torch.equal(reach_loss(wrong, reach, known), reach_loss(right, reach, known))
    assert reach_loss(-right, reach, known) > 5
    halves = [reach_loss(-right[part], reach[part], known[part]) for part in (slice(0, 1), slice(1, 2), slice(2, 3))]
    assert torch.allclose(torch.stack(halves).mean(), reach_loss(-right, reach, known))


def test_the_iou_counts_silence_about_nothing_as_right() -> None:
    nothing, logits = torch.zeros(2, 4, 4, dtype=torch.bool), torch.full((2, 4, 4), -1.0)
    assert reach_iou(logits, nothing) == 1
    logits[0, 0, 0] = 1
    assert reach_iou(logits, nothing) == 0.5
    nothing[0, 0, :2] = True
    assert reach_iou(logits, nothing) == 0.75
