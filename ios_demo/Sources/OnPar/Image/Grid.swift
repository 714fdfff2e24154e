// Grids of values, as reference/inputs/grid.py lays them over pictures.

/// A network's grid of values, row by row.
struct Grid<Value: Sendable> {
    let values: [Value]
    let rows: Int
    let columns: Int
}

/// Lays a grid over the part of a picture that the network saw, bilinearly; keeps its memory. Edge values repeat inside
/// the region. One thread at a time: its detector sees to that.
final class GridScaler: @unchecked Sendable {
    /// For each pixel of a row the value left of it, -1 outside the region, and how far it lies towards the next one.
    private var lefts: [Int] = []
    private var parts: [Float] = []
    private var row: [Float] = []

    /// - Parameter outside: where the network did not look.
    func scale(_ grid: Grid<Float>, _ region: Region, _ width: Int, _ height: Int, outside: Float) -> [Float] {
        prepare(grid.columns, region, width)
        return [Float](unsafeUninitializedCapacity: width * height) { values, count in
            count = width * height
            for y in 0..<height {
                let to = UnsafeMutableBufferPointer(rebasing: values[y * width..<(y + 1) * width])
                let position = position(y, region.top, region.height, grid.rows)
                if position < 0 {
                    to.initialize(repeating: outside)
                } else {
                    blendRows(grid.values, grid.columns, grid.rows, position)
                    writeRow(to.baseAddress!, width, outside)
                }
            }
        }
    }

    private func writeRow(_ to: UnsafeMutablePointer<Float>, _ width: Int, _ outside: Float) {
        lefts.withUnsafeBufferPointer { lefts in
            parts.withUnsafeBufferPointer { parts in
                row.withUnsafeBufferPointer { row in
                    for x in 0..<width {
                        let left = lefts[x]
                        let value = left < 0 ? outside : row[left] + parts[x] * (row[left + 1] - row[left])
                        (to + x).initialize(to: value)
                    }
                }
            }
        }
    }

    private func prepare(_ columns: Int, _ region: Region, _ width: Int) {
        if lefts.count < width {
            lefts = Array(repeating: 0, count: width)
            parts = Array(repeating: 0, count: width)
        }
        // One value more, the last again: the rightmost pixels have a next one, too.
        if row.count != columns + 1 { row = Array(repeating: 0, count: columns + 1) }
        for x in 0..<width {
            let position = position(x, region.left, region.width, columns)
            lefts[x] = position < 0 ? -1 : Int(position)
            parts[x] = Float(position - Double(lefts[x]))
        }
    }

    /// Two rows of the grid become one first: the picture has more pixels.
    private func blendRows(_ values: [Float], _ columns: Int, _ rows: Int, _ position: Double) {
        let top = Int(position)
        let (upper, lower) = (top * columns, min(top + 1, rows - 1) * columns)
        let down = Float(position - Double(top))
        for x in 0..<columns { row[x] = values[upper + x] + down * (values[lower + x] - values[upper + x]) }
        row[columns] = row[columns - 1]
    }

    /// Place of a pixel's centre among the grid's values, -1 outside the region.
    private func position(_ pixel: Int, _ start: Double, _ length: Double, _ size: Int) -> Double {
        let fraction = (Double(pixel) + 0.5 - start) / length
        return fraction < 0 || fraction > 1 ? -1 : min(max(fraction * Double(size) - 0.5, 0), Double(size - 1))
    }
}

/// Class numbers of a grid for the pixels of a picture; -1 outside the region.
func layClassesOver(_ grid: Grid<Int>, _ region: Region, _ width: Int, _ height: Int) -> [Int] {
    func nearest(_ start: Double, _ length: Double, _ cells: Int, _ pixels: Int) -> [Int] {
        (0..<pixels).map {
            let fraction = (Double($0) + 0.5 - start) / length
            return fraction >= 0 && fraction < 1 ? Int(fraction * Double(cells)) : -1
        }
    }
    let xs = nearest(region.left, region.width, grid.columns, width)
    let ys = nearest(region.top, region.height, grid.rows, height)
    return ys.flatMap { y in xs.map { x in x < 0 || y < 0 ? -1 : grid.values[y * grid.columns + x] } }
}
