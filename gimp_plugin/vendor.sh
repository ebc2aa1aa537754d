#!/bin/sh
# vendor.sh TARGET [INSTALLER]
# Fills the folder TARGET with pyzmq and msgpack for GIMP's own Python, in the versions and with the hashes of uv.lock.
#   TARGET      the plug-in's vendor folder; replaced as a whole, and left alone when it is already up to date
#   INSTALLER   a uv program, or a Python that has pip (default: uv where there is one, else python3)
# One folder serves Python 3.12 and later: pyzmq's wheel keeps to the stable ABI, msgpack is left as pure Python.
set -eu

python_version=3.12
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
lock=$here/../uv.lock

fail() { echo "vendor.sh: $*" >&2; exit 1; }

# "name==version --hash=sha256:..." for each vendored package, from its block in uv.lock
requirements() {
  awk '
    /^\[\[package\]\]/ { wanted = 0 }
    /^name = "(pyzmq|msgpack)"$/ { gsub(/"/, ""); name = $3; wanted = 1 }
    wanted && /^version = / { gsub(/"/, ""); printf "%s%s==%s", separator, name, $3; separator = "\n" }
    wanted && match($0, /hash = "sha256:[0-9a-f]+"/) { printf " --hash=%s", substr($0, RSTART + 8, RLENGTH - 9) }
    END { print "" }' "$lock"
}

install_wheels() { # FOLDER REQUIREMENTS
  case $(basename -- "$installer") in
    uv) "$installer" pip install --quiet --target "$1" --python-version "$python_version" --only-binary :all: \
          --no-deps --require-hashes -r "$2" ;;
    *) "$installer" -m pip install --quiet --target "$1" --python-version "$python_version" --only-binary=:all: \
          --no-deps --no-compile --no-warn-script-location --require-hashes -r "$2" ;;
  esac
}

if [ $# -lt 1 ] || [ $# -gt 2 ]; then sed -n 2,6p "$0" >&2; exit 2; fi
target=$1
installer=${2:-$(command -v uv || command -v python3)} || fail "neither uv nor python3 is here: install one of them"
[ -r "$lock" ] || fail "$lock is missing: run this script from a complete copy of the project"

wanted=$(requirements)
[ "$(cat "$target/requirements.txt" 2>/dev/null)" != "$wanted" ] || exit 0

mkdir -p "$(dirname -- "$target")"
fresh=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf -- "$fresh" "$fresh.txt"' EXIT
printf '%s\n' "$wanted" > "$fresh.txt"
install_wheels "$fresh" "$fresh.txt" || fail "could not download pyzmq and msgpack (see above)"
rm -rf -- "${fresh:?}/bin" "$fresh/.lock" "$fresh/zmq/tests" "$fresh"/msgpack/_cmsgpack*
mv -- "$fresh.txt" "$fresh/requirements.txt"
chmod 755 "$fresh"
rm -rf -- "$target"
mv -- "$fresh" "$target"
