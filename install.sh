#!/usr/bin/env bash
# Installs colour for black-and-white photographs into GIMP 3, for the user who runs it. See ./install.sh --help
set -euo pipefail
umask 022
unset PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE VIRTUAL_ENV CONDA_PREFIX CDPATH

source_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
packaging=$source_dir/daemon/packaging
# shellcheck source=daemon/packaging/uv.sh
. "$packaging/uv.sh"
# shellcheck source=daemon/packaging/environment.sh
. "$packaging/environment.sh"
# shellcheck source=daemon/packaging/gimp_folders.sh
. "$packaging/gimp_folders.sh"
# shellcheck source=daemon/packaging/user_service.sh
. "$packaging/user_service.sh"

usage() {
  cat <<'END'
./install.sh [OPTIONS]

Installs everything for the user who runs it, then colours a picture to show that it works:
the program in ~/.local/share/gimp-colorize, its commands in ~/.local/bin, the plug-in in every GIMP 3 folder
found (native, Flatpak, Snap) and a service of the user's own. Run again, it changes nothing, or repairs.
What it downloads, and how much, it says before it does.

  --check          look whether all is installed and whole; change nothing
  --uninstall      remove all that was installed, and nothing else
  --prefix DIR     put the program into DIR
  --no-service     no systemd service: the plug-in and gimp-colorize start the program when they need it
  --cpu            the small build of PyTorch without GPU support, whatever this machine has
  --self-check PICTURE   colour this picture at the end instead of the one that comes along
  --help           this text
END
}

say() { printf '%s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
shown() { case $1 in "$HOME"/*) printf '~%s' "${1#"$HOME"}" ;; *) printf '%s' "$1" ;; esac; }

# Folders are made one by one and written down, so that --uninstall takes away exactly those that were not there.
made=()
make_folder() { # FOLDER
  if [ -d "$1" ]; then return; fi
  make_folder "$(dirname -- "$1")"
  mkdir -- "$1"
  made+=("$1")
  if [ -d "$prefix" ]; then
    printf '%s\n' "${made[@]}" >> "$prefix/made-folders.txt"
    made=()
  fi
}

# An atomic replacement of a file, and none where it already has this text.
put_file() { # FILE, text on standard input
  local fresh
  fresh=$(mktemp "$1.XXXXXX")
  cat > "$fresh"
  if cmp -s -- "$fresh" "$1"; then
    rm -- "$fresh"
  else
    chmod 644 "$fresh"
    mv -- "$fresh" "$1"
    return 10
  fi
}

parse_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --check | --uninstall) action=${1#--} ;;
      --prefix) prefix=${2:-}; shift ;;
      --prefix=*) prefix=${1#*=} ;;
      --self-check) picture=${2:-}; shift ;;
      --self-check=*) picture=${1#*=} ;;
      --no-service) service=no ;;
      --cpu) cpu_only=yes ;;
      -h | --help) usage; exit 0 ;;
      *) usage >&2; die "unknown option: $1" ;;
    esac
    shift || { usage >&2; die "the last option wants a value"; }
  done
}

check_machine() {
  [ "$(uname -s)" = Linux ] || die "this installer knows Linux only; on $(uname -s), install with 'uv tool install .' instead"
  if [ ! -d "${HOME:-}" ] || [ ! -w "$HOME" ]; then die "HOME (${HOME:-not set}) is not a folder that you may write to"; fi
  case ${prefix:-/} in *$'\n'*) die "a prefix cannot have a line break in its name" ;; esac
  if [ "$(id -u)" -eq 0 ] && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
    say "Note: through sudo this installs for root, not for $SUDO_USER. To install for $SUDO_USER, run it without sudo."
  fi
}

# The prefix asked for; else the one that the installed command leads to; else the usual one.
settle_prefix() {
  local command=$bin_dir/gimp-colorize target
  if [ -z "$prefix" ] && [ -L "$command" ]; then
    target=$(readlink -- "$command")
    case $target in /*/current/bin/gimp-colorize) prefix=${target%/current/bin/gimp-colorize} ;; esac
  fi
  prefix=$(realpath -m -- "${prefix:-$HOME/.local/share/gimp-colorize}")
}

# Two installers at once would undo each other's work. The lock goes with this process, however it ends.
lock_prefix() {
  exec 9>> "$prefix/.lock"
  flock --nonblock 9 || die "another install.sh is at work in $(shown "$prefix"): wait for it to end"
}

is_our_command() { # LINK
  [ -L "$1" ] && case $(readlink -- "$1") in */current/bin/"${1##*/}") true ;; *) false ;; esac
}

link_commands() {
  local name link
  make_folder "$bin_dir"
  for name in "${commands[@]}"; do
    link=$bin_dir/$name
    if [ "$(readlink -- "$link" || true)" = "$prefix/current/bin/$name" ]; then continue; fi
    if [ -e "$link" ] && ! is_our_command "$link"; then
      die "$(shown "$link") exists and is not from this installer: move it away, then run install.sh again"
    fi
    ln -sfn -- "$prefix/current/bin/$name" "$link"
  done
}

default_picture() { find "$source_dir/daemon/colorize_daemon/samples" -name '*.jpg' -print -quit; }

# Colours a picture through the running service, the way a user would.
self_check() {
  local folder=$prefix/self-check fresh=$work/coloured.png status=0
  : "${picture:=$(default_picture)}"
  [ -r "$picture" ] || die "self-check: cannot read the picture ${picture:-(none)}"
  "$prefix/current/bin/gimp-colorize" -o "$fresh" "$picture" 9>&- || status=$?
  if [ "$status" -ne 0 ] || [ ! -s "$fresh" ]; then
    die "self-check: gimp-colorize could not colour $picture (status $status, its reason is above).
The service's log: $(shown "$state_dir/daemon.log")"
  fi
  make_folder "$folder"
  cmp -s -- "$fresh" "$folder/coloured.png" || mv -- "$fresh" "$folder/coloured.png"
  say "Self-check: coloured ${picture##*/}. Look at it: $folder/coloured.png"
}

install() {
  make_folder "$prefix"
  [ -w "$prefix" ] || die "you may not write to $prefix: choose another folder with --prefix"
  lock_prefix
  rm -rf -- "$prefix"/.work-??????  # left by a run that was killed
  work=$(mktemp -d "$prefix/.work-XXXXXX")
  trap 'rm -rf -- "$work"' EXIT
  say "Installing for $(id -un) into $(shown "$prefix")"
  install_environment
  link_commands
  install_plug_in
  install_service
  remove_other_environments
  self_check
  case :$PATH: in
    *:"$bin_dir":*) ;;
    *) say "$(shown "$bin_dir") is not on your PATH: log in again, or type $(shown "$bin_dir")/gimp-colorize." ;;
  esac
  say "Done. In GIMP: Filters > Colorize (restart GIMP if it is running). In a terminal: gimp-colorize --help"
}

check() {
  local status=0 name
  check_environment || status=1
  for name in "${commands[@]}"; do
    if [ "$(readlink -- "$bin_dir/$name" || true)" != "$prefix/current/bin/$name" ]; then
      say "missing: the command $(shown "$bin_dir/$name")"
      status=1
    fi
  done
  check_plug_in || status=1
  check_service || status=1
  if [ "$status" -eq 0 ]; then
    say "All is installed and whole."
  else
    say "Something is missing or damaged: run ./install.sh to repair it."
  fi
  return "$status"
}

uninstall() {
  local name folders=() index
  if [ -r "$prefix/made-folders.txt" ]; then mapfile -t folders < "$prefix/made-folders.txt"; fi
  remove_service
  stop_daemon
  remove_plug_in
  for name in "${commands[@]}"; do
    if is_our_command "$bin_dir/$name"; then rm -- "$bin_dir/$name"; fi
  done
  remove_state
  rm -rf -- "$prefix"/env-* "$prefix/current" "$prefix/current.new" "$prefix/uv" "$prefix"/uv-?????? "$prefix/cache" \
    "$prefix/python" "$prefix/self-check" "$prefix"/.work-?????? "$prefix/made-folders.txt" "$prefix/.lock"
  for ((index = ${#folders[@]} - 1; index >= 0; index--)); do
    rmdir --ignore-fail-on-non-empty -- "${folders[index]}" 2>/dev/null || true
  done
  say "Removed. Your pictures, and the settings that GIMP keeps for the dialog, stay as they are."
}

action=install prefix='' service=yes cpu_only=no picture='' work='' environment_changed=no
commands=(gimp-colorize gimp-colorize-daemon)
parse_options "$@"
check_machine
bin_dir=$HOME/.local/bin
state_dir=${GIMP_COLORIZE_STATE:-$(usual_state_dir)}
settle_prefix
reach_user_session
"$action"
