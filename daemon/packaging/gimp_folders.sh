# shellcheck shell=bash
# Sourced by install.sh: GIMP's profile folders (one per series, as .../GIMP/3.0) and the plug-in in them.
# shellcheck disable=SC2154

plug_in_marker=INSTALLED.txt

native_root() { printf '%s\n' "${XDG_CONFIG_HOME:-$HOME/.config}/GIMP"; }

# Folders that hold profiles. Flatpak's GIMP uses the native one if its permissions are the usual ones, else its own.
profile_roots() {
  printf '%s\n' "$(native_root)" "$HOME/.config/GIMP" "$HOME/.var/app/org.gimp.GIMP/config/GIMP" \
    "$HOME/snap/gimp/current/.config/GIMP" "$HOME/snap/gimp/common/.config/GIMP" | awk '!seen[$0]++'
}

existing_profiles() {
  local root profile
  while IFS= read -r root; do
    for profile in "$root"/3.[0-9]*; do
      if [ -d "$profile" ]; then printf '%s\n' "$profile"; fi
    done
  done < <(profile_roots)
  if [ -n "${GIMP3_DIRECTORY:-}" ] && [ -d "$GIMP3_DIRECTORY" ]; then printf '%s\n' "$GIMP3_DIRECTORY"; fi
}

series_of() { # text with a version 3.x.y in it; prints 3.x
  grep -oE '\b3\.[0-9]+' <<< "$1" | head -n 1
}

native_series() {
  local program
  for program in gimp-console gimp gimp-console-3.2 gimp-console-3.0 gimp-3.2 gimp-3.0; do
    if command -v "$program" > /dev/null; then
      series_of "$(timeout 60 "$program" --version 2>/dev/null | grep -E ' 3\.' || true)" && return
    fi
  done
  return 1
}

flatpak_series() {
  command -v flatpak > /dev/null || return 1
  series_of "$(flatpak info org.gimp.GIMP 2>/dev/null | grep -E 'Version:' || true)"
}

snap_series() {
  [ -r /snap/gimp/current/meta/snap.yaml ] || return 1
  series_of "$(grep '^version:' /snap/gimp/current/meta/snap.yaml)"
}

# A new GIMP takes over the settings of the one before only while its profile folder does not exist: let it make its own.
make_native_profile() { # FOLDER
  if [ -d "$1" ]; then return; fi
  say "GIMP ${1##*/} has not run yet: it makes its folder $(shown "$1") now"
  timeout 180 gimp-console --no-interface --no-data --no-fonts --quit > /dev/null 2>&1 9>&- || true
  make_folder "$1"
}

make_missing_profiles() {
  local series
  if series=$(native_series); then make_native_profile "$(native_root)/$series"; fi
  if series=$(flatpak_series); then make_folder "$HOME/.config/GIMP/$series"; fi
  if series=$(snap_series); then make_folder "$HOME/snap/gimp/current/.config/GIMP/$series"; fi
  if [ -z "$(existing_profiles)" ]; then
    say "No GIMP 3 found: the plug-in goes where GIMP 3.0 and 3.2 will look for it. On Debian 13: sudo apt-get install gimp"
    make_folder "$(native_root)/3.0"
    make_folder "$(native_root)/3.2"
  fi
}

same_plug_in() { # FOLDER
  diff --recursive --brief --exclude=__pycache__ -- "$prefix/current/plug-in" "$1" > /dev/null 2>&1 && [ -x "$1/colorize.py" ]
}

put_plug_in() { # FOLDER
  local target=$1/plug-ins/colorize fresh
  if [ -L "$target" ]; then
    say "GIMP: $(shown "$target") is a link to $(readlink -- "$target"), left as it is"
    return
  fi
  if same_plug_in "$target"; then
    say "GIMP: $(shown "$target") is up to date"
    return
  fi
  if [ -e "$target" ] && [ ! -e "$target/$plug_in_marker" ]; then
    die "$(shown "$target") exists and is not from this installer: move it away, then run install.sh again"
  fi
  make_folder "$1/plug-ins"
  rm -rf -- "$1"/plug-ins/.colorize-??????
  fresh=$(mktemp -d "$1/plug-ins/.colorize-XXXXXX")
  cp -R -- "$prefix/current/plug-in/." "$fresh"
  chmod 755 "$fresh"
  if [ -e "$target" ]; then mv -- "$target" "$fresh.old"; fi
  mv -- "$fresh" "$target"
  rm -rf -- "$fresh.old"
  say "GIMP: plug-in installed in $(shown "$target")"
}

install_plug_in() {
  local profiles profile
  make_missing_profiles
  mapfile -t profiles < <(existing_profiles)
  for profile in "${profiles[@]}"; do put_plug_in "$profile"; done
}

check_plug_in() {
  local profiles profile target status=0
  mapfile -t profiles < <(existing_profiles)
  if [ ${#profiles[@]} -eq 0 ]; then
    say "missing: no GIMP 3 folder has the plug-in"
    return 1
  fi
  for profile in "${profiles[@]}"; do
    target=$profile/plug-ins/colorize
    if [ ! -L "$target" ] && ! same_plug_in "$target"; then
      say "missing or out of date: the plug-in in $(shown "$target")"
      status=1
    fi
  done
  return "$status"
}

remove_plug_in() {
  local profiles profile
  mapfile -t profiles < <(existing_profiles)
  for profile in "${profiles[@]}"; do
    rm -rf -- "$profile"/plug-ins/.colorize-??????
    if [ ! -L "$profile/plug-ins/colorize" ] && [ -e "$profile/plug-ins/colorize/$plug_in_marker" ]; then
      rm -rf -- "$profile/plug-ins/colorize"
    fi
  done
}
