// swift-tools-version:5.9
// skyedge for iOS: `./build_xcframework.sh` first, then add this folder as a local package.
import PackageDescription

let package = Package(
    name: "Skyedge",
    platforms: [.iOS(.v15)],
    products: [.library(name: "Skyedge", targets: ["Skyedge"])],
    targets: [
        .binaryTarget(name: "CSkyedge", path: "build/CSkyedge.xcframework"),
        .target(name: "Skyedge", dependencies: ["CSkyedge"], linkerSettings: [.linkedLibrary("c++")]),
    ]
)
