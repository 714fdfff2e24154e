#!/usr/bin/env bash
# Proves that the apps' tests can fail: each fault below, put into a copy of the sources, must turn a language's check red.
#
#     .ci/app_mutations.sh LANGUAGE CACHE BUNDLES LITERT      LANGUAGE: web, kotlin or swift
#
# Minutes a fault: every one is compiled and tested as `make apps` does it. The unchanged sources must have passed before.
set -euo pipefail
language=${1:?give a language: web, kotlin or swift} cache=${2:?give the cache folder}
bundles=$(realpath "${3:?give the folder with bundles}") litert=$(realpath "${4:?give the path of libLiteRt.so}")
cd "$(dirname "$0")/.."

# What: file, the line's text, what stands there instead. The mean is inside the model: an app that takes it off is wrong.
case $language in
kotlin)
  demo=android_demo file=android_demo/onpar/src/main/kotlin/org/onpar/image/Preprocess.kt arguments=("$litert")
  faults=("a wrong mean" 'tensor[to] = red / 255f' 'tensor[to] = red / 255f - 0.45f'
    "a swapped channel" $'tensor[to] = red / 255f\n            tensor[to + plane] = green / 255f'
    $'tensor[to] = green / 255f\n            tensor[to + plane] = red / 255f'
    "a shift by half a pixel" 'fill(i, start + (i + 0.5) * scale, pixels)' 'fill(i, start + i * scale, pixels)')
  ;;
swift)
  demo=ios_demo file=ios_demo/Sources/OnPar/Image/Preprocess.swift
  arguments=("$litert" 'VectorTests|passesItsOwnLimits|givesPythonsResults')
  faults=("a wrong mean" 'tensor[to] = red / 255' 'tensor[to] = red / 255 - 0.45'
    "a swapped channel" $'tensor[to] = red / 255\n                    tensor[to + plane] = green / 255'
    $'tensor[to] = green / 255\n                    tensor[to + plane] = red / 255'
    "a shift by half a pixel" 'fill(i, start + (Double(i) + 0.5) * scale' 'fill(i, start + Double(i) * scale')
  ;;
web)
  demo=web_demo file=web_demo/src/onpar/image/preprocess.ts arguments=(build/screenshots)
  faults=("a wrong mean" 'this.tensor[to + ox] = value / 255' 'this.tensor[to + ox] = value / 255 - 0.45'
    "a swapped channel" 'const from = c * count - left' 'const from = (2 - c) * count - left'
    "a shift by half a pixel" 'const center = start + (i + 0.5) * scale' 'const center = start + i * scale')
  ;;
*)
  echo "mutations: language is '$language'; allowed: web, kotlin, swift" >&2
  exit 2
  ;;
esac

copy=$(mktemp -d) failed=0
trap 'rm -rf "$copy"' EXIT
git ls-files -z .ci "$demo" android_demo/onpar/src/main/cpp tests/vectors models/motions | xargs -0 cp -P --parents -t "$copy"
# What npm fetched is used again: faults are in the sources.
[ "$demo" != web_demo ] || [ ! -d web_demo/node_modules ] || cp -al web_demo/node_modules "$copy/web_demo/"

# expect_red WHAT BUNDLES: the check of the copy must fail, and say that a test did.
expect_red() {
  local log=$copy/check.log
  if "$copy/$demo/check.sh" "$cache" "$2" "${arguments[@]}" >"$log" 2>&1; then
    echo "mutations: $language passes with $1"
    failed=1
  elif grep -q "^$language: FAILED" "$log"; then
    echo "mutations: $language, $1: red"
  else
    tail -5 "$log"
    echo "mutations: $language, $1: not a test failed but something else"
    failed=1
  fi
}

for ((i = 0; i < ${#faults[@]}; i += 3)); do
  sound=$(<"$copy/$file")
  text=${faults[i + 1]}
  if [[ $sound != *"$text"* ]]; then echo "mutations: $file has no '$text'; bring this script up to date"; exit 1; fi
  printf '%s\n' "${sound/"$text"/"${faults[i + 2]}"}" >"$copy/$file"
  expect_red "${faults[i]}" "$bundles"
  printf '%s\n' "$sound" >"$copy/$file"
done

# A few bytes of one model, in each of its bundles.
cp -R "$bundles" "$copy/bundles"
for model in "$copy"/bundles/classifier-*/model.tflite; do
  printf damaged | dd of="$model" bs=1 seek=1000 conv=notrunc status=none
done
expect_red "a damaged bundle" "$copy/bundles"
exit $failed
