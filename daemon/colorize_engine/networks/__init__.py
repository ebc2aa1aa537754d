"""The networks that the service can hold: one family a file, built by the name of its recipe.

What the engine asks of them stands in `served.py`. A family is imported when the first of its networks is built.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from colorize_engine.networks.served import ServedNetwork

_CLASSES = {
    "chroma": "chroma:Chroma",
    "vgg-regression": "vgg_regression:VggRegression",
    "zhang-regression": "zhang:ZhangRegression",
    "zhang-classification": "zhang:ZhangClassification",
    "zhang-classification-vgg": "zhang:ZhangClassificationVgg",
    "resnet-gan": "resnet_unet:ResNetUNet",
    "densenet": "densenet:DenseNetRegression",
    "rtnet": "palette:RTNet",
    "hnet": "palette:HintedRTNet",
}


def recipes() -> list[str]:
    """Names of the recipes whose weights can be served."""
    return sorted(_CLASSES)


def build(recipe: str, config: dict[str, Any]) -> ServedNetwork:
    """An untrained network of `recipe`. Raises KeyError for an unknown recipe, TypeError for an unknown setting."""
    module, _, name = _CLASSES[recipe].partition(":")
    network = getattr(import_module(f"{__name__}.{module}"), name)
    return network(network.Config(**config))


class unset_parameters(TorchFunctionMode):  # noqa: N801  used as a function, in a `with`
    """Networks built within draw no random numbers: their parameters hold whatever was in memory.

    For those that get all their parameters from a file: the default one is then built in 0.03 s instead of 0.3.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        sets = func in (Tensor.normal_, Tensor.uniform_) or getattr(func, "__module__", None) == nn.init.__name__
        return named.get("tensor", *args[:1]) if sets else func(*args, **named)
