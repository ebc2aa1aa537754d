"""The recipes by name: a new one is a file in this folder and a line here.

No network, and not torch, is imported before a recipe is asked for: to list them takes no time.

A recipe says what is trained and how one picture is drawn and judged (see `recipe.Recipe`); the loop, once for all,
does the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from colorize_training.recipes.recipe import Recipe

_CLASSES = {
    "chroma": "chroma:ChromaRecipe",
    "vgg-regression": "vgg_regression:VggRegressionRecipe",
    "zhang-regression": "zhang:ZhangRegressionRecipe",
    "zhang-classification": "zhang:ZhangClassificationRecipe",
    "zhang-classification-vgg": "zhang:ZhangClassificationVggRecipe",
    "resnet-gan": "resnet_gan:ResNetGanRecipe",
    "densenet": "densenet:DenseNetRecipe",
    "rtnet": "palette:RTNetRecipe",
    "hnet": "palette:HNetRecipe",
}
NAMES = sorted(_CLASSES)


def recipe_class(name: str) -> "type[Recipe]":
    """The class of a recipe. Raises KeyError for an unknown name."""
    module, _, own = _CLASSES[name].partition(":")
    recipe: type[Recipe] = getattr(import_module(f"{__name__}.{module}"), own)
    return recipe
