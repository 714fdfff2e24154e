import Testing

@testable import OnPar

/// A PNG file of 8 x 8 pixels of 16-bit grey, whose rows name a filter, or of what a header says; stored as it is.
private func png(filter: UInt8, bits: UInt8 = 16, color: UInt8 = 0, interlaced: UInt8 = 0) -> [UInt8] {
    let rows = (0..<8 * 17).map { i -> UInt8 in i % 17 == 0 ? filter : UInt8(i) }
    var (a, b) = (1, 0)
    for value in rows {
        a = (a + Int(value)) % 65521
        b = (b + a) % 65521
    }
    let sum = [b >> 8, b & 255, a >> 8, a & 255].map { UInt8($0) }
    let length = UInt8(rows.count)
    let packed: [UInt8] = [0x78, 0x01, 0x01, length, 0, ~length, 255] + rows + sum
    let kind = [bits, color, 0, 0, interlaced]
    let header: [UInt8] = [0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 8, 0, 0, 0, 8] + kind + [0, 0, 0, 0]
    let data: [UInt8] = [0, 0, 0, UInt8(packed.count), 0x49, 0x44, 0x41, 0x54] + packed + [0, 0, 0, 0]
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + header + data
}

@Suite struct PngTests {
    @Test func rowsWithTheFiveFiltersAreRead() throws {
        for filter in UInt8(0)...4 { #expect(try Png.decode(png(filter: filter)).rows.count == 128) }
        #expect(try Png.decode(png(filter: 0)).rows[0] == 1)
    }

    @Test func aRowWithAnotherFilterIsRefused() {
        for filter in [UInt8(5), 255] {
            #expect(throws: OnParError.self) { try Png.decode(png(filter: filter)) }
        }
    }

    @Test func palettesGreyWithAlphaFewBitsAndInterlacedFilesAreRefused() {
        for (bits, color, interlaced) in [(8, 3, 0), (16, 4, 0), (4, 0, 0), (16, 0, 1)] as [(UInt8, UInt8, UInt8)] {
            #expect(throws: OnParError.self) {
                try Png.decode(png(filter: 0, bits: bits, color: color, interlaced: interlaced))
            }
        }
    }

    @Test func aFileThatIsCutOrHasRowsMissingIsRefused() {
        let whole = png(filter: 0)
        for size in [0, 20, 40, whole.count - 30] {
            #expect(throws: OnParError.self) { try Png.decode(Array(whole.prefix(size))) }
        }
    }

    @Test func theLastRowHasNoPadding() {
        // 864 x 480 samples in rows of 896 bytes, as a camera gives them.
        #expect(Plane.bytes(rows: 480, of: 864, stride: 896) == 430_048)
        #expect(Plane.bytes(rows: 1, of: 864, stride: 896) == 864)
        #expect(Plane.bytes(rows: 0, of: 864, stride: 896) == 0)
    }
}
