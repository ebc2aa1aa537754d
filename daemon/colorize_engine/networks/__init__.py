"""The networks that the service can hold: one family a file, built by the name of its recipe.

What the engine asks of them stands in `served.py`. A family is imported when the first of its networks is built.
"""

from importlib import import_module
from typing import Any

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
