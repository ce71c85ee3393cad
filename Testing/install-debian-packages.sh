#!/usr/bin/env bash
# Install the packages of debian-packages.txt that are missing, or of those named as arguments. Asks
# nothing: where it may not install, it says which are missing and what to run, and exits 1.
set -euo pipefail

list="$(dirname "${BASH_SOURCE[0]}")/debian-packages.txt"
wanted=("$@")
if ((${#wanted[@]} == 0)); then
  mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$list")
fi

missing_packages() {
  local package
  for package in "${wanted[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
      grep -qx installed || echo "$package"
  done
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  echo "Not a Debian system: see to it that what these packages hold is there: ${wanted[*]}"
  exit 0
fi

mapfile -t missing < <(missing_packages)
if ((${#missing[@]} == 0)); then
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  as_root=(sudo -n)
fi
if ((EUID == 0)) || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; then
  echo "Installing Debian packages: ${missing[*]}"
  apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120)
  "${apt[@]}" update </dev/null || echo "The package lists could not be refreshed." >&2
  "${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null || true
  mapfile -t missing < <(missing_packages)
fi

if ((${#missing[@]} > 0)); then
  {
    echo "Missing Debian packages: ${missing[*]}"
    echo "Install them:  sudo apt-get update && sudo apt-get install ${missing[*]}"
    echo "Or run the tests as far as they go without them:  make check"
  } >&2
  exit 1
fi
