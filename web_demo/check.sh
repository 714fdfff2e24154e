#!/usr/bin/env bash
# Type-checks and builds the page, and runs its tests in headless Chromium with the real models.
#
#     web_demo/check.sh CACHE BUNDLES SCREENSHOTS
set -euo pipefail
cache=${1:?give the cache folder} bundles=${2:?give the folder with bundles} screenshots=${3:?give a folder for screenshots}
cd "$(dirname "$0")"
mkdir -p ../build/apps
../.ci/toolchains.sh web "$cache"

# npm checks every package against the hashes in package-lock.json.
if ! cmp -s package-lock.json node_modules/.installed-lock; then
  echo "web: installing npm packages"
  npm ci --silent --cache "$cache/npm"
  cp package-lock.json node_modules/.installed-lock
fi
echo "web: formatting, types, build"
npm run --silent lint
npm run --silent build
npm run --silent bundles "$bundles"
echo "web: testing in Chromium"
log=$PWD/../build/apps/web.log
if npm test --silent >"$log" 2>&1; then
  echo "web: $(grep -oE '^# pass [0-9]+' "$log" | grep -oE '[0-9]+') passed, 0 failed"
else
  grep -E '^ *not ok|error:' "$log" | head -40 | grep . || tail -20 "$log"
  echo "web: FAILED; see $log"
  exit 1
fi
npm run --silent screenshots "$screenshots"
