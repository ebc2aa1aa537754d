"""The plug-in says the version that the project has: it is copied into GIMP's folder without the project."""

from importlib.metadata import version

from version import VERSION


def test_the_plug_ins_version_is_the_projects() -> None:
    assert version("gimp-colorize") == VERSION
