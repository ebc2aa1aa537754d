"""What all that starts from ImageNet's weights has in common."""

from torch import Tensor, nn

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB 0..1
_COUNTER = "num_batches_tracked"  # missing in torchvision's older files; batch norms with a momentum never read it


def normalize(rgb: Tensor) -> Tensor:
    """RGB, or one gray channel, 0..1 (B, 3 or 1, H, W), as ImageNet's networks expect it: (B, 3, H, W)."""
    mean, deviation = (rgb.new_tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
    return (rgb - mean) / deviation


def load_encoder(encoder: nn.Module, state: dict[str, Tensor], unused: tuple[str, ...]) -> None:
    """Load every tensor of `encoder` from `state`, which may also hold tensors whose names begin as in `unused`.

    Raises ValueError for any other name, and for one that is missing.
    """
    own = {name: tensor.float() for name, tensor in state.items() if not name.startswith(unused)}
    wanted = {name for name in encoder.state_dict() if not name.endswith(_COUNTER)}
    given = {name for name in own if not name.endswith(_COUNTER)}
    for names, what in ((wanted - given, "lack"), (given - wanted, "hold the unknown")):
        if names:
            listed = ", ".join(sorted(names)[:4])
            raise ValueError(f"the encoder's starting weights {what} {listed} ({len(names)} names in all)")
    encoder.load_state_dict({name: own[name] for name in wanted}, strict=False)
