import OnPar
import SwiftUI

@main
struct DemoApp: App {
    @State private var model = DemoModel()

    var body: some Scene {
        WindowGroup {
            VStack {
                Picker("Bundle", selection: $model.name) {
                    ForEach(model.names, id: \.self, content: Text.init)
                }
                .onChange(of: model.name, initial: true) { model.open() }
                TabView {
                    CameraScreen(model: model).tabItem { Label("Camera", systemImage: "camera") }
                    PictureScreen(model: model).tabItem { Label("Picture", systemImage: "photo") }
                    SelfTestScreen(model: model).tabItem { Label("Self-test", systemImage: "checkmark.seal") }
                    BenchmarkScreen(model: model).tabItem { Label("Benchmark", systemImage: "stopwatch") }
                }
            }
        }
    }
}
