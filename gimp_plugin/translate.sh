#!/bin/sh
# translate.sh
# Brings the plug-in's translations up to date: collects its texts, the client's error sentences and the service's notes
# into colorize/locale/colorize.pot, merges them into every colorize/locale/LANGUAGE/LC_MESSAGES/colorize.po, and
# compiles those. Run it after a text has changed; it fails where a translation is missing. Needs python3 and gettext.
set -eu

cd "$(dirname -- "$0")"
command -v xgettext msgmerge msgfmt >/dev/null || { echo "translate.sh: install gettext first" >&2; exit 1; }
template=colorize/locale/colorize.pot
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

python3 - > "$scratch/sentences.py" <<'PYTHON'
import ast
from pathlib import Path
places = {"colorize_client/errors.py": ["sentence"], "../daemon/colorize_daemon/worker.py": ["NOTHING_PAINTED", "NOTHING_KEPT"]}
for file, names in places.items():
    for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in names:
            print(f"_({ast.literal_eval(node.value)!r})")
PYTHON
xgettext --language=Python --from-code=UTF-8 --keyword=marked --no-location --no-wrap --sort-output \
  --package-name=gimp-colorize --output="$scratch/colorize.pot" colorize/*.py "$scratch/sentences.py"
sed -e '/^"POT-Creation-Date/d' -e 's/charset=CHARSET/charset=UTF-8/' "$scratch/colorize.pot" > "$template"

for po in colorize/locale/*/LC_MESSAGES/colorize.po; do
  msgmerge --quiet --no-fuzzy-matching --no-wrap --sort-output --update --backup=none "$po" "$template"
  msgattrib --no-obsolete --no-wrap -o "$po" "$po"
  if [ -n "$(msgattrib --untranslated "$po")" ]; then
    msgattrib --untranslated "$po" >&2
    echo "translate.sh: $po lacks the translations above" >&2
    exit 1
  fi
  msgfmt --check --output-file="${po%.po}.mo" "$po"
done
