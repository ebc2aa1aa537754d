"""The recipes by name, for those who only want to list them: no network is imported here."""

RECIPES = {
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
NAMES = sorted(RECIPES)
