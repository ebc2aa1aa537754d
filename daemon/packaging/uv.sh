# shellcheck shell=bash
# Sourced by install.sh and tests/run: finds the package installer uv, or fetches it, on a machine that may have
# nothing but python3.

UV_AT_LEAST=0.8.0

# The certificates that this machine trusts, as other programs do; older uv knows the first name alone.
export UV_NATIVE_TLS=1 UV_SYSTEM_CERTS=1

uv_is_usable() { # PROGRAM
  local version
  version=$("$1" --version 2>/dev/null) || return 1
  version=${version#uv }
  version=${version%% *}
  [ "$(printf '%s\n' "$UV_AT_LEAST" "$version" | sort -V | head -n 1)" = "$UV_AT_LEAST" ]
}

python_is_usable() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null
}

# A pip that runs without installing one: Debian keeps it apart from python3, as a wheel in a package of its own,
# which any user may download and unpack.
pip_from_debian_package() { # FOLDER
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
  (cd "$1" && apt-get -qq download python3-pip-whl && dpkg-deb -x python3-pip-whl_*.deb .) >/dev/null 2>&1 || return 1
  local wheel
  wheel=$(find "$1/usr/share/python-wheels" -name 'pip-*.whl' -print -quit)
  [ -n "$wheel" ] && printf '%s\n' "$wheel/pip"
}

# Runs pip with the given arguments through whatever this machine has for that.
run_pip() { # FOLDER-FOR-TEMPORARY-FILES ARGUMENTS...
  local work=$1 pip
  shift
  if python3 -m pip --version >/dev/null 2>&1; then
    python3 -m pip "$@"
  elif python3 -c 'import ensurepip, venv' 2>/dev/null && python3 -m venv "$work/venv" >/dev/null 2>&1; then
    "$work/venv/bin/python" -m pip "$@"
  elif pip=$(pip_from_debian_package "$work"); then
    python3 "$pip" "$@"
  else
    return 127
  fi
}

fetch_uv() { # FOLDER
  local work status=0
  mkdir -p "$1"
  work=$(mktemp -d "$1/uv-XXXXXX")
  echo "Download: the package installer uv, about 20 MB" >&2
  run_pip "$work" install --quiet --disable-pip-version-check --no-warn-script-location --upgrade \
    --target "$work/packages" "uv>=$UV_AT_LEAST" >&2 || status=$?
  if [ "$status" -eq 0 ]; then
    rm -rf -- "$1/uv"
    mv -- "$work/packages" "$1/uv"
  fi
  rm -rf -- "$work"
  return "$status"
}

has_pip_or_venv() { python3 -m pip --version > /dev/null 2>&1 || python3 -c 'import ensurepip, venv' 2> /dev/null; }
has_certificates() { [ -n "${SSL_CERT_FILE:-}" ] || [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls ]; }

# The Debian packages without which uv cannot be fetched; python3-venv can be done without (pip_from_debian_package).
packages_for_uv() {
  python_is_usable || echo python3
  has_pip_or_venv || echo python3-venv
  has_certificates || echo ca-certificates
}

install_packages_for_uv() {
  local missing
  mapfile -t missing < <(packages_for_uv)
  if [ ${#missing[@]} -eq 0 ] || [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then return; fi
  echo "Installing Debian packages: ${missing[*]}" >&2
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

# Prints the path of a usable uv: the one on PATH, the one fetched earlier into FOLDER, or one fetched now.
# Status 127: this machine lacks packages_for_uv; other: the download failed.
find_uv() { # FOLDER
  local candidate
  for candidate in "$(command -v uv || true)" "$1/uv/bin/uv"; do
    if [ -n "$candidate" ] && uv_is_usable "$candidate"; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  install_packages_for_uv || return 127
  if ! python_is_usable || ! has_certificates; then return 127; fi
  fetch_uv "$1" || return
  printf '%s\n' "$1/uv/bin/uv"
}
