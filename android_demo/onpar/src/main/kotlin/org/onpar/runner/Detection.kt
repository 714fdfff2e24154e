package org.onpar

class Timings(val preMs: Double, val inferenceMs: Double, val postMs: Double)

/** A result with what it took. */
class Detection<T>(val value: T, val timings: Timings, val backend: String)
