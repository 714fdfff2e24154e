#!/usr/bin/env bash
# Compiles the Kotlin library, its tests, its native part and the app, and runs the tests with the real models.
#
#     android_demo/check.sh CACHE BUNDLES LITERT      LITERT: libLiteRt.so of this machine
#
# No Gradle and no Android: kotlinc, JUnit and gcc. The app is compiled against the framework's signatures (API 23).
set -euo pipefail
cache=${1:?give the cache folder} bundles=${2:?give the folder with bundles} litert=${3:?give the path of libLiteRt.so}
cd "$(dirname "$0")"
../.ci/toolchains.sh kotlin "$cache"
../.ci/toolchains.sh android "$cache"

kotlin=$(echo "$cache"/kotlin-*/lib)
java=/usr/share/java
out=../build/apps/kotlin
json=$java/json-android.jar
libraries="$json:$java/junit4.jar:$java/hamcrest.jar:$kotlin/kotlin-test.jar:$kotlin/kotlin-test-junit.jar:$kotlin/kotlin-stdlib.jar"
jdk=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")

compile() {
  java -Xmx1g -cp "$kotlin/kotlin-preloader.jar" org.jetbrains.kotlin.preloading.Preloader -cp "$kotlin/kotlin-compiler.jar" \
    org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -kotlin-home "$(dirname "$kotlin")" -Werror "$@"
}

# compile_once NAME "SOURCES" OPTIONS: compiles into $out/NAME unless it was made from the same files and options.
# SOURCES are all that it depends on: its own and those of the parts that it uses.
compile_once() {
  local name=$1 sources=$2 stamp
  shift 2
  # shellcheck disable=SC2086 # one word a folder
  stamp=$(printf '%s\n' "$@" | sha256sum; find $sources -name '*.kt' -exec sha256sum {} + | sort | sha256sum)
  if [ "$(cat "$out/.$name" 2>/dev/null)" = "$stamp" ]; then return; fi
  echo "kotlin: compiling $name"
  rm -rf "${out:?}/$name" "$out/.$name"
  compile -d "$out/$name" "$@"
  echo "$stamp" >"$out/.$name"
}

mkdir -p "$out"
echo "kotlin: native library"
gcc -std=c11 -O2 -Wall -Wextra -Werror -shared -fPIC -I"$jdk/include" -I"$jdk/include/linux" -Wl,-z,max-page-size=16384 \
  -o "$out/libonpar.so" onpar/src/main/cpp/*.c -ldl
alignments=$(readelf -lW "$out/libonpar.so" | awk '$1 == "LOAD" {print $NF}' | sort -u)
[ "$alignments" = 0x4000 ] || { echo "kotlin: libonpar.so is aligned to $alignments; needed: 0x4000, 16 KB pages"; exit 1; }

sources=onpar/src/main/kotlin/org/onpar
android=$sources/android
# Every room but the one that needs Android.
mapfile -t core < <(find $sources -mindepth 1 -maxdepth 1 -not -name android | sort)
library="${core[*]}"
compile_once core "$library" -jvm-target 17 -module-name onpar -cp "$json" "${core[@]}"
compile_once tests "$library onpar/src/test" -jvm-target 17 -Xfriend-paths="$out/core" -cp "$out/core:$libraries" onpar/src/test/kotlin

run() { java -Xmx1g -cp "$out/tests:$out/core:$libraries" "$@"; }
classes=$(cd "$out/tests" && ls org/onpar/*Test.class | sed 's/\.class$//; s#/#.#g')
log=$out/tests.log
# shellcheck disable=SC2086 # one word a class
if run -Donpar.root=.. -Donpar.bundles="$bundles" -Donpar.jni="$out/libonpar.so" -Donpar.litert="$litert" \
  org.junit.runner.JUnitCore $classes >"$log" 2>&1; then
  echo "kotlin: $(grep -oE '^OK \([0-9]+' "$log" | grep -oE '[0-9]+') passed, 0 failed"
else
  grep -E '^[0-9]+\) |^Tests run' -A2 "$log" || tail -20 "$log"
  echo "kotlin: FAILED; see $log"
  exit 1
fi

# The framework's signatures; R, which Android's resource compiler would make from res/, comes from strings.xml
# and the one value that Gradle adds.
framework=$(echo "$cache"/android-*/android.jar)
mkdir -p "$out/r"
{
  echo 'package org.onpar.demo; object R { object string {'
  { grep -oE 'name="\w+"' app/src/main/res/values/strings.xml; echo 'name="litert_version"'; } | awk -F'"' '{printf "const val %s = %d\n", $2, NR}'
  echo '} }'
} >"$out/r/R.kt"
compile_once android "$library $android" -jvm-target 17 -no-jdk -Xfriend-paths="$out/core" -cp "$framework:$out/core:$kotlin/kotlin-stdlib.jar" "$android"
compile_once executorch "$library onpar-executorch/src" -jvm-target 17 -cp "$out/core" onpar-executorch/src
compile_once app "$library $android $out/r app/src" -jvm-target 17 -no-jdk -cp "$framework:$out/core:$out/android:$kotlin/kotlin-stdlib.jar" "$out/r/R.kt" app/src/main/kotlin app/src/debug/kotlin

run org.onpar.HostBenchmarkKt 300 "$bundles"/{classifier-android,template_keypoints-android,saliency-web}-*
