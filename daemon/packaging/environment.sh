# shellcheck shell=bash
# Sourced by install.sh: the program's Python environment and what is copied into GIMP.
#
# PREFIX/env-DIGEST-XXXXXX is an environment; its file "complete" is written last. PREFIX/current is a link to the one
# in use, replaced in one step, so that an interrupted run leaves the old one or the new one, never a half of either.
# shellcheck disable=SC2034,SC2154  # variables shared with install.sh and its other parts

# Measured on x86_64 with the packages of uv.lock, Python 3.11, in megabytes.
download_size_of() { case $1 in cpu) echo 260 ;; *) echo 3050 ;; esac; }
disk_size_of() { case $1 in cpu) echo 1000 ;; *) echo 5500 ;; esac; }
in_words() { case $1 in cpu) echo "the small CPU build" ;; *) echo "the default build, with CUDA" ;; esac; }

nvidia_gpu() { # prints its name
  local listed
  if listed=$(nvidia-smi -L 2>/dev/null) && [[ $listed == GPU* ]]; then
    listed=${listed%%$'\n'*}
    printf '%s\n' "${listed%% (UUID*}"
  elif [ -n "$(ls -A /proc/driver/nvidia/gpus 2>/dev/null)" ]; then
    echo "an NVIDIA GPU"
  else
    return 1
  fi
}

get_uv() {
  local status=0
  uv=$(find_uv "$prefix") || status=$?
  case $status in
    0) ;;
    127) die "the installer uv cannot be fetched without these Debian packages. Type:
  sudo apt-get install $(packages_for_uv | paste -sd ' ')
then run install.sh again." ;;
    *) die "could not download the installer uv (see above). Is this machine online? Run install.sh again when it is." ;;
  esac
  # The user's own cache serves and stays; without one, ours goes with the rest at --uninstall.
  if [ -z "${UV_CACHE_DIR:-}" ] && [ ! -d "$("$uv" cache dir)" ]; then
    make_folder "$prefix/cache"
    export UV_CACHE_DIR=$prefix/cache
  fi
  # Where the system's Python is too old, uv brings one.
  export UV_PYTHON_INSTALL_DIR=$prefix/python
  export UV_HTTP_RETRIES=${UV_HTTP_RETRIES:-5} UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-120}
}

locked_packages() { # extra arguments of uv export
  "$uv" export --quiet --project "$source_dir" --frozen --no-dev --no-emit-project "$@"
}

installed_build() { cat -- "$prefix/current/complete" 2>/dev/null || true; }

cpu_build_can_be_had() {
  local torch
  torch=$(grep -m1 '^torch==' "$work/constraints.txt")
  UV_HTTP_RETRIES=1 UV_HTTP_TIMEOUT=15 timeout 60 "$uv" pip install --quiet --dry-run --no-deps --target "$work/probe" \
    --torch-backend=cpu "${torch%% *}" 2> "$work/probe.txt"
}

choose_build() {
  local gpu before
  before=$(installed_build)
  if [ "$cpu_only" = yes ]; then
    build=cpu reason="as asked with --cpu"
    [ "$before" = cpu ] || cpu_build_can_be_had || die "the CPU build of PyTorch cannot be had here:
$(cat "$work/probe.txt")
Without --cpu, install.sh takes the default build, which runs on the CPU as well but is larger."
  elif gpu=$(nvidia_gpu); then
    build=default reason="for $gpu"
  elif [ -n "$before" ]; then
    build=$before reason="as installed before"
  elif cpu_build_can_be_had; then
    build=cpu reason="no NVIDIA GPU here"
  else
    build=default reason="no NVIDIA GPU here, but the small CPU build cannot be reached; this one runs on the CPU as well"
  fi
  say "PyTorch: $(in_words "$build") ($reason)"
}

source_files() {
  cd -- "$source_dir" || return
  find pyproject.toml uv.lock README.md LICENSE daemon gimp_plugin training -type f \
    ! -path '*/__pycache__/*' ! -path '*/.*' -print0 | LC_ALL=C sort -z
}

environment_digest() { # BUILD
  { printf '%s\n' "$1" "$prefix"; source_files | (cd -- "$source_dir" && xargs -0 sha256sum); } | sha256sum | cut -c 1-12
}

environment_complaints() { # ENVIRONMENT; prints nothing for a whole one
  local env=$1
  if [ ! -s "$env/complete" ]; then
    echo "the program is not installed, or only in part"
  elif ! "$env/bin/python" -I "$packaging/verify_environment.py" "$env/packages.txt" 2>&1; then
    echo "the program's packages are damaged"
  elif ! (cd -- "$env/plug-in" && sha256sum --quiet --check ../plug-in.sha256) > /dev/null 2>&1; then
    echo "the copy of the plug-in in $env/plug-in is damaged"
  fi
}

free_megabytes() { df -Pm -- "$1" | awk 'NR == 2 { print $4 }'; }

announce_download() { # BUILD
  local cache needed
  cache=$("$uv" cache dir)
  make_folder "$cache"
  needed=$(disk_size_of "$1")
  if everything_is_cached "$1"; then
    say "Download: nothing, all packages are in uv's cache $(shown "$cache")"
  else
    say "Download: about $(download_size_of "$1") MB (PyTorch and what it needs), then about $needed MB on disk in $(shown "$prefix")"
    require_space "$cache" "$needed"
  fi
  # Within one file system the packages are hard links into the cache and take their room once.
  if [ "$(stat -c %d -- "$cache")" != "$(stat -c %d -- "$prefix")" ]; then require_space "$prefix" "$needed"; fi
}

require_space() { # FOLDER MEGABYTES
  local free
  free=$(free_megabytes "$1")
  [ "$free" -ge $(($2 + 300)) ] || die "$(shown "$1") has $free MB free, and $(($2 + 300)) MB are needed: make room, or choose another disk with --prefix"
}

everything_is_cached() { # BUILD
  local planned
  [ "$1" = default ] || return 1
  planned=$("$uv" pip install --offline --dry-run --target "$work/probe" -r "$work/locked.txt" 2>&1) || return 1
  [[ $planned != *"Would download"* ]]
}

# The lock's versions and hashes. The CPU build of torch has the same version but other files than the lock knows, so
# there it comes by itself, with the lock's versions of what it needs.
install_packages() { # ENVIRONMENT BUILD
  local into=("$uv" pip install --python "$1/bin/python")
  if [ ! -t 2 ]; then into+=(--quiet); fi  # no progress bars in a log
  "${into[@]}" --require-hashes -r "$work/locked.txt"
  if [ "$2" = cpu ]; then
    "${into[@]}" --torch-backend=cpu --constraints "$work/constraints.txt" torch torchvision
  fi
  "$uv" build --quiet --wheel --out-dir "$work/wheel" "$source_dir"
  "${into[@]}" --no-deps "$work/wheel"/*.whl
}

make_plug_in() { # ENVIRONMENT
  local folder=$1/plug-in
  mkdir -- "$folder"
  cp -RL -- "$source_dir/gimp_plugin/colorize/." "$folder"
  cp -RL -- "$source_dir/gimp_plugin/colorize_client" "$folder/colorize_client"
  find "$folder" -name __pycache__ -prune -exec rm -rf -- {} +
  # Real files, whatever way uv is set to: GIMP in its sandbox may not see uv's cache.
  UV_LINK_MODE=copy "$source_dir/gimp_plugin/vendor.sh" "$folder/vendor" "$uv"
  chmod 755 "$folder/colorize.py"
  "$1/bin/python" -I -c 'import json, sys; print(json.dumps({"command": sys.argv[1:]}))' \
    "$prefix/current/bin/gimp-colorize-daemon" > "$folder/daemon.json"
  echo "Put here by gimp-colorize's install.sh; its option --uninstall removes this folder." > "$folder/$plug_in_marker"
  (cd -- "$folder" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) > "$1/plug-in.sha256"
}

build_environment() { # BUILD DIGEST
  local env
  remove_other_environments
  env=$(mktemp -d "$prefix/env-$2-XXXXXX")
  chmod 755 "$env"
  "$uv" venv --quiet --allow-existing --python '>=3.11' "$env"
  install_packages "$env" "$1"
  make_plug_in "$env"
  "$env/bin/python" -I "$packaging/verify_environment.py" --record "$env/packages.txt"
  # Shows that the libraries load on this machine, and leaves them compiled for the first real start.
  "$env/bin/python" -I -c 'import colorize_cli.main, colorize_engine.colorizer, colorize_daemon.main' ||
    die "the installed program does not start on this machine (see above)"
  printf '%s\n' "$1" > "$env/complete"
  ln -sfn -- "${env##*/}" "$prefix/current.new"
  mv -T -- "$prefix/current.new" "$prefix/current"
}

install_environment() {
  local digest complaints
  get_uv
  locked_packages --no-hashes > "$work/constraints.txt"
  choose_build
  digest=$(environment_digest "$build")
  complaints=$(environment_complaints "$prefix/current")
  if [ -z "$complaints" ] && [[ $(readlink -- "$prefix/current") == env-"$digest"-* ]]; then
    say "The program is up to date."
    return
  fi
  environment_changed=yes  # the service reads this
  if [ -e "$prefix/current" ] && [ -n "$complaints" ]; then say "Repairing: $complaints"; fi
  if [ "$build" = cpu ]; then
    locked_packages --prune torch --prune torchvision > "$work/locked.txt"
  else
    locked_packages > "$work/locked.txt"
  fi
  announce_download "$build"
  build_environment "$build" "$digest"
}

remove_other_environments() {
  local env
  for env in "$prefix"/env-*; do
    if [ "${env##*/}" != "$(readlink -- "$prefix/current" || true)" ]; then rm -rf -- "$env"; fi
  done
}

check_environment() {
  local complaints
  complaints=$(environment_complaints "$prefix/current")
  [ -n "$complaints" ] || return 0
  say "$(shown "$prefix"): $complaints"
  return 1
}
