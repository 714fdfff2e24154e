#!/usr/bin/env bash
# Builds the Swift package and runs its tests with the real models, inside the Swift root folder of the cache.
#
#     ios_demo/check.sh CACHE BUNDLES LITERT [TESTS]      LITERT: libLiteRt.so of this machine; TESTS: a pattern, or all
#
# Files for Apple's frameworks are parsed only: UIKit, AVFoundation, Core ML exist on Apple systems alone.
set -euo pipefail
cache=${1:?give the cache folder} bundles=${2:?give the folder with bundles} litert=${3:?give the path of libLiteRt.so} tests=${4:-.}
cd "$(dirname "$0")"
../.ci/toolchains.sh swift "$cache"

root=$(echo "$cache"/swift-*/)
inside=$root/onpar
in_root() { chroot "$root" env HOME=/tmp PATH=/usr/bin:/bin LD_LIBRARY_PATH=/onpar/build/apps sh -c "cd /onpar/ios_demo && $1"; }

# The build folder stays from run to run; sources are copied, and links between the demos become files.
mkdir -p "$inside/ios_demo" "$inside/tests" "$inside/models/motions" "$inside/build/apps" ../build/apps
rm -rf "$inside"/ios_demo/{Sources,Tests,App,ExecuTorch,Package.swift} "$inside/build/apps/bundles" "$inside/tests/vectors" "$inside/models/motions/golden"
cp -RLp Package.swift Sources Tests App ExecuTorch "$inside/ios_demo/"
cp -Rp ../tests/vectors "$inside/tests/"
cp -Rp ../models/motions/golden "$inside/models/motions/"
cp -Rp "$bundles" "$inside/build/apps/bundles"
cp -p "$litert" "$inside/build/apps/libLiteRt.so"

trap 'umount "$root/proc" 2>/dev/null || true' EXIT
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"

log=$PWD/../build/apps/swift.log
echo "swift: building and testing"
# Tests run beside one another in one process; memory is counted in another, unless other tests were asked for.
alone="swift test --disable-sandbox --skip-build --filter MemoryTests"
[ "$tests" = . ] || alone=true
if ! in_root "swift test --disable-sandbox --jobs 2 --filter '$tests' --skip MemoryTests && $alone" >"$log" 2>&1; then
  grep -E '^/.*error:|✘' "$log" | sort -u | head -40 | grep . || tail -20 "$log"
  echo "swift: FAILED; see $log"
  exit 1
fi
# Swift counts a test with arguments once; each argument is a case.
passed=$(grep -oE 'Test run with [0-9]+' "$log" | grep -oE '[0-9]+' | awk '{ sum += $1 } END { print sum }')
cases=$(grep -cE 'Passing [0-9]+ argument' "$log" || true)
echo "swift: $passed passed, 0 failed ($cases cases with arguments)"

echo "swift: parsing the files for Apple's frameworks"
in_root "find App ExecuTorch Sources/OnPar/Apple -name '*.swift' -exec swiftc -frontend -parse {} +"

in_root "swift build --disable-sandbox -c release --product HostBenchmark" >>"$log" 2>&1 || { echo "swift: the benchmark does not build; see $log"; exit 1; }
in_root ".build/release/HostBenchmark 300 ../build/apps/bundles/classifier-android-* ../build/apps/bundles/template_keypoints-android-* ../build/apps/bundles/saliency-web-*"
