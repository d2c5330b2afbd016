#!/bin/sh
# Builds build/CSkyedge.xcframework, the core and ncnn in one static library, for iPhones and for the simulator. Needs Xcode and CMake.
set -eu
cd "$(dirname "$0")"
rm -rf build/CSkyedge.xcframework
slices=""
for sdk in iphoneos iphonesimulator; do
  cmake -S .. -B "build/$sdk" -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME=iOS -DCMAKE_OSX_SYSROOT="$sdk" \
    -DCMAKE_OSX_ARCHITECTURES=arm64 -DCMAKE_OSX_DEPLOYMENT_TARGET=15.0 -DSKYEDGE_CLI=OFF -DSKYEDGE_TESTS=OFF -DSKYEDGE_SHARED=OFF
  cmake --build "build/$sdk" --parallel
  cmake --install "build/$sdk" --prefix "build/$sdk/installed"
  libtool -static -o "build/$sdk/libCSkyedge.a" "build/$sdk"/installed/lib/*.a
  mkdir -p "build/$sdk/headers"
  cp -R "build/$sdk/installed/include/skyedge" module.modulemap "build/$sdk/headers/"
  slices="$slices -library build/$sdk/libCSkyedge.a -headers build/$sdk/headers"
done
# shellcheck disable=SC2086  # words are meant to split
xcodebuild -create-xcframework $slices -output build/CSkyedge.xcframework
