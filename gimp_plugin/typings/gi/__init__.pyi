# Stubs for PyGObject and the libraries that it opens: what the plug-in uses of them, and nothing else. Every name and
# every parameter's name here is looked up in real GIMP 3.0 and 3.2 (tests/gimp/checks.py). A function that is declared
# to return a base class has the class that really comes.

def require_version(namespace: str, version: str) -> None: ...
