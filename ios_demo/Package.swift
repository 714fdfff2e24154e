// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "OnPar",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "OnPar", targets: ["OnPar"]),
        // LiteRT on the CPU; for Macs, Linux and the tests. An iPhone runs Core ML or ExecuTorch.
        .library(name: "OnParLiteRT", targets: ["OnParLiteRT"]),
    ],
    targets: [
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
        // Signatures where there is no CryptoKit.
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(
            name: "OnPar",
            dependencies: ["CZlib", .target(name: "COpenSSL", condition: .when(platforms: [.linux]))]
        ),
        .target(name: "COnParLiteRT", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
        .target(name: "OnParLiteRT", dependencies: ["OnPar", "COnParLiteRT"]),
        .executableTarget(name: "HostBenchmark", dependencies: ["OnPar"]),
        // Counts what a thread allocates, for the tests.
        .target(name: "CAllocations", path: "Tests/CAllocations"),
        .testTarget(name: "OnParTests", dependencies: ["OnPar", "OnParLiteRT", "CAllocations"]),
    ]
)
