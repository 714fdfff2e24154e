#!/usr/bin/env bash
# Puts the toolchains of the apps into a cache folder, each once. What lies there is reused.
#
#     .ci/toolchains.sh PART CACHE      PART: web, kotlin, android or swift
#
# Debian packages come through apt, which checks the archive's signatures; npm packages are held to the SHA-256 values in
# .ci/toolchains.sha256 or to an npm lock file. What can't be had is named with what to do, and the exit code is 2.
set -euo pipefail

part=${1:?give a part: web, kotlin, android or swift}
cache=${2:?give a cache folder}
sums="$(cd "$(dirname "$0")" && pwd)/toolchains.sha256"
KOTLIN=2.4.20
SWIFT_SUITE=trixie
SWIFT_PACKAGES="swiftlang libc6-dev libstdc++-14-dev libncurses-dev zlib1g-dev libssl-dev pkgconf"

say() { echo "toolchains: $*" >&2; }
fail() { say "$*"; exit 2; }
# Debian asks no questions while a script installs.
export DEBIAN_FRONTEND=noninteractive

# Installs what is missing of the named packages on this machine.
debian() {
  local missing=()
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || fail "no apt-get here; install yourself: ${missing[*]}"
  [ "$(id -u)" -eq 0 ] || fail "not root; run: sudo apt-get install ${missing[*]}"
  say "installing Debian packages: ${missing[*]}"
  apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
    apt-get update -qq >/dev/null 2>&1 || true
    apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null || fail "apt-get could not install ${missing[*]}"
  }
}

# The mirror that this machine's apt uses: packages of other Debian releases come from the same place.
mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Codename: '"$(. /etc/os-release && echo "$VERSION_CODENAME")" |
    head -1 | grep . || fail "apt knows no Debian mirror here; the toolchains of $part need Debian"
}

# Chromium draws the page; Node builds it. A Node that is there already is kept: Debian's own is older.
web() {
  debian chromium
  command -v npm >/dev/null || debian nodejs npm
}

# npm's kotlin-compiler package is the whole command-line compiler.
kotlin() {
  debian openjdk-17-jdk-headless junit4 libhamcrest-java libandroid-json-org-java gcc libc6-dev
  command -v npm >/dev/null || debian nodejs npm
  local home="$cache/kotlin-$KOTLIN" file="kotlin-compiler-$KOTLIN.tgz"
  [ -f "$home/.complete" ] && return
  say "fetching the Kotlin compiler $KOTLIN (90 MB)"
  rm -rf "$home" && mkdir -p "$home"
  (cd "$home" && npm pack --silent "kotlin-compiler@$KOTLIN" >/dev/null) || fail "npm could not fetch kotlin-compiler@$KOTLIN"
  (cd "$home" && grep " $file\$" "$sums" | sha256sum --check --quiet) || fail "$file differs from its checksum"
  tar -xzf "$home/$file" -C "$home" --strip-components=1
  rm "$home/$file"
  touch "$home/.complete"
}

# The framework's signatures at API level 23, from another Debian release than this machine's; only unpacked, never installed.
android() {
  local home="$cache/android-23"
  [ -f "$home/android.jar" ] && return
  say "fetching the Android framework's signatures (libandroid-23-java)"
  local work suite from
  work=$(mktemp -d)
  from=$(mirror)
  for suite in bullseye sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $from $suite main" >"$work/list"
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
    local options=(-o "Dir::Etc::sourcelist=$work/list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$work/state/lists"
      -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
    if apt-get -qq "${options[@]}" update >/dev/null 2>&1 &&
      (cd "$work" && apt-get -qq "${options[@]}" download libandroid-23-java >/dev/null 2>&1); then break; fi
  done
  compgen -G "$work/*.deb" >/dev/null || fail "no Debian release here offers libandroid-23-java; the app can't be type-checked"
  dpkg -x "$work"/*.deb "$work/root"
  local jar
  # Debian names the stub jar differently from release to release; the others are links to it.
  jar=$(find "$work/root" -type f -name '*.jar' -printf '%s %p\n' | sort -rn | head -1 | cut -d' ' -f2-)
  [ -n "$jar" ] || fail "libandroid-23-java holds no android.jar"
  mkdir -p "$home" && cp -L "$jar" "$home/android.jar.part" && mv "$home/android.jar.part" "$home/android.jar"
  rm -rf "$work"
}

# Debian's Swift lives in a newer release than this machine's, so it gets its own root folder.
swift() {
  local root="$cache/swift-$SWIFT_SUITE"
  [ "$(cat "$root/.complete" 2>/dev/null)" = "$SWIFT_PACKAGES" ] && return
  [ "$(id -u)" -eq 0 ] || fail "not root, and the Swift root folder needs chroot; run make apps-ios as root"
  debian debootstrap
  [ -f "$root/.bootstrapped" ] || {
    say "making a Debian $SWIFT_SUITE root folder for Swift (a minute)"
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase "$SWIFT_SUITE" "$root" "$(mirror)" >"$root.log" 2>&1 ||
      fail "debootstrap failed; see $root.log"
    touch "$root/.bootstrapped"
  }
  say "installing Swift in it (3.3 GB, some minutes)"
  mountpoint -q "$root/proc" || mount -t proc proc "$root/proc" || fail "can't mount proc in $root; Swift's installation needs it"
  # shellcheck disable=SC2086 # one word a package
  chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $SWIFT_PACKAGES >>"$root.log" 2>&1 ||
    { umount "$root/proc"; fail "apt-get in $root failed; see $root.log"; }
  umount "$root/proc"
  echo "$SWIFT_PACKAGES" >"$root/.complete"
}

case $part in
web | kotlin | android | swift) mkdir -p "$cache" && "$part" ;;
*) fail "part is '$part'; allowed: web, kotlin, android, swift" ;;
esac
