// swift-tools-version: 6.0
import PackageDescription

// Apart from OnPar, so that who uses Core ML alone does not fetch ExecuTorch.
let package = Package(
    name: "OnParExecuTorch",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [.library(name: "OnParExecuTorch", targets: ["OnParExecuTorch"])],
    dependencies: [
        .package(name: "OnPar", path: ".."),
        .package(url: "https://github.com/pytorch/executorch.git", branch: "swiftpm-1.4.1"),
    ],
    targets: [
        .target(
            name: "OnParExecuTorch",
            dependencies: [
                "OnPar",
                .product(name: "executorch", package: "executorch"),
                .product(name: "backend_xnnpack", package: "executorch"),
                .product(name: "backend_coreml", package: "executorch"),
                .product(name: "kernels_optimized", package: "executorch"),
            ])
    ]
)
