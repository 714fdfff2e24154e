package org.onpar

// A network's grid of values, laid over the part of a picture that it saw: reference/inputs/grid.py.

/** Lays a network's grid of values over a picture, bilinearly; keeps its memory. Edge values repeat inside the region. */
internal class GridScaler {
    /** For each pixel of a row the value left of it, -1 outside the region, and how far it lies towards the next one. */
    private var lefts = IntArray(0)
    private var parts = FloatArray(0)
    private var row = FloatArray(0)

    /** @param outside where the network did not look. */
    fun scale(grid: FloatArray, columns: Int, rows: Int, region: Region, width: Int, height: Int, outside: Float = 0f): FloatArray {
        prepare(columns, region, width)
        val values = FloatArray(width * height)
        if (outside != 0f) values.fill(outside)
        for (y in 0 until height) {
            val position = position(y, region.top, region.height, rows)
            if (position >= 0) writeRow(grid, columns, rows, position, values, y * width, width)
        }
        return values
    }

    private fun prepare(columns: Int, region: Region, width: Int) {
        if (lefts.size < width) {
            lefts = IntArray(width)
            parts = FloatArray(width)
        }
        // One value more, the last again: the rightmost pixels have a next one, too.
        if (row.size != columns + 1) row = FloatArray(columns + 1)
        for (x in 0 until width) {
            val position = position(x, region.left, region.width, columns)
            lefts[x] = if (position < 0) -1 else position.toInt()
            parts[x] = (position - lefts[x]).toFloat()
        }
    }

    /** Two rows of the grid become one first: the picture has more pixels. */
    private fun writeRow(grid: FloatArray, columns: Int, rows: Int, position: Double, values: FloatArray, at: Int, width: Int) {
        val top = position.toInt()
        val upper = top * columns
        val lower = minOf(top + 1, rows - 1) * columns
        val down = (position - top).toFloat()
        for (x in 0 until columns) row[x] = grid[upper + x] + down * (grid[lower + x] - grid[upper + x])
        row[columns] = row[columns - 1]
        for (x in 0 until width) {
            val left = lefts[x]
            if (left >= 0) values[at + x] = row[left] + parts[x] * (row[left + 1] - row[left])
        }
    }

    /** Place of a pixel's centre among the grid's values, -1 outside the region. */
    private fun position(pixel: Int, start: Double, length: Double, size: Int): Double {
        val fraction = (pixel + 0.5 - start) / length
        return if (fraction < 0 || fraction > 1) -1.0 else (fraction * size - 0.5).coerceIn(0.0, size - 1.0)
    }
}

/** Class numbers of a grid for the pixels of a picture; -1 outside the region. */
internal fun layClassesOver(classes: IntArray, columns: Int, rows: Int, region: Region, width: Int, height: Int): IntArray {
    val xs = nearestCells(region.left, region.width, columns, width)
    val ys = nearestCells(region.top, region.height, rows, height)
    return IntArray(width * height) {
        val x = xs[it % width]
        val y = ys[it / width]
        if (x < 0 || y < 0) -1 else classes[y * columns + x]
    }
}

private fun nearestCells(start: Double, length: Double, cells: Int, pixels: Int): IntArray =
    IntArray(pixels) {
        val fraction = (it + 0.5 - start) / length
        if (fraction >= 0 && fraction < 1) (fraction * cells).toInt() else -1
    }
